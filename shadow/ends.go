package shadow

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// ends are the transactions of one piece of work: where rows come from and where
// they go. With both sides in one database they are the same transaction.
type ends struct{ production, shadow pgx.Tx }

func (e ends) remote() bool { return e.production != e.shadow }

// begin is [pg.ReadCommitted] or [pg.RepeatableRead]: how production is read.
type begin func(context.Context, pg.Beginner, func(pgx.Tx) error) error

// across runs f in one transaction, or with remote sides in two, of which the
// shadow's is the one that decides: production's ends first. What was read is
// then made to survive a crash of production before it is committed elsewhere.
func across(ctx context.Context, sides control.Sides, run *control.Run, read begin, f func(ends) error) error {
	if !sides.Remote() {
		return read(ctx, sides.Production, func(tx pgx.Tx) error { return f(ends{production: tx, shadow: tx}) })
	}
	return pg.ReadCommitted(ctx, sides.Shadow, func(shadow pgx.Tx) error {
		err := read(ctx, sides.Production, func(production pgx.Tx) error {
			return f(ends{production: production, shadow: shadow})
		})
		if err != nil {
			return err
		}
		return secure(ctx, sides, run, shadow)
	})
}

// secure makes sure, before the shadow commits, that production keeps what was
// read and is still the server that the shadow is copied from.
func secure(ctx context.Context, sides control.Sides, run *control.Run, shadow pgx.Tx) error {
	if err := control.Flush(ctx, sides.Production); err != nil {
		return err
	}
	return control.CheckOrigin(ctx, sides.Production, shadow, run)
}
