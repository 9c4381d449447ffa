package lease

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// Pool opens the sessions that do the work, each noted for the next leader. For
// who has fenced off its predecessors.
func (l *Lease) Pool(ctx context.Context, dsn string, limit int, o pg.Options) (*pgxpool.Pool, error) {
	return pg.NewPoolWith(ctx, dsn, limit, o, func(c *pgxpool.Config) {
		c.AfterConnect = l.opened
		c.BeforeClose = func(conn *pgx.Conn) {
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.open, conn.PgConn().PID())
		}
	})
}

func (l *Lease) opened(ctx context.Context, conn *pgx.Conn) error {
	b, err := pg.Self(ctx, conn)
	if err == nil {
		err = control.NoteSession(ctx, conn, l.led)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[conn.PgConn().PID()] = b
	return nil
}

// Backends are this process's sessions in production.
func (l *Lease) Backends() pg.Backends {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := pg.Backends{l.self}
	for _, b := range l.open {
		all = append(all, b)
	}
	return all
}
