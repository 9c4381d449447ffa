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
		c.BeforeClose = l.open.Closed
	})
}

func (l *Lease) opened(ctx context.Context, conn *pgx.Conn) error {
	if err := control.NoteSession(ctx, conn, l.led); err != nil {
		return err
	}
	return l.open.Opened(ctx, conn)
}

// Backends are this process's sessions in production.
func (l *Lease) Backends() pg.Backends { return append(pg.Backends{l.self}, l.open.Backends()...) }
