package upgrade

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// lookers are this process's sessions in production that only look where a run stands,
// for its own progress lines. An attempt at a cutover does not wait for their snapshots: they
// read the control schema and catalogs. On a slow machine one stood against each attempt of
// the process that had opened it.
type lookers struct {
	mu   sync.Mutex
	open map[int32]pg.Backend
}

var looking lookers

// opened notes a session until done is called, after it was closed.
func (l *lookers) opened(ctx context.Context, conn *pgx.Conn) (done func(), err error) {
	b, err := pg.Self(ctx, conn)
	if err != nil {
		return func() {}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[int32]pg.Backend{}
	}
	l.open[b.PID] = b
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, b.PID)
	}, nil
}

// backends are those that are open now.
func (l *lookers) backends() pg.Backends {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.open))
}
