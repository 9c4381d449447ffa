package capture

import (
	"context"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
)

// Break ends capture before it harms production: journals too large, a disk
// nearly full. The functions' bodies are replaced first, which takes no lock on
// any table, together with the run's failure, so that a run is never taken for
// whole whose capture has a gap; then the triggers are dropped, a moment's wait
// at a time. The journals stay until [Remove]: they are evidence. The run
// cannot go on.
func Break(ctx context.Context, pool *pgxpool.Pool, run *control.Run, reason string) error {
	for _, d := range []Direction{ToShadow, ToOld} {
		if err := closeJournals(ctx, pool, run, d); err != nil {
			return err
		}
	}
	err := locker{pool: pool, wait: installWait}.once(ctx, func(tx pgx.Tx) error {
		if err := control.NoteBroken(ctx, tx, run, reason); err != nil {
			return err
		}
		return silenceAll(ctx, tx, run)
	})
	if err != nil {
		// A batch holds the run's row. Production comes first; the gap shows in
		// the fingerprint, and the failure follows.
		if err := silenceAll(ctx, pool, run); err != nil {
			return err
		}
		if err := control.NoteBroken(ctx, pool, run, reason); err != nil {
			return err
		}
	}
	for _, d := range []Direction{ToShadow, ToOld} {
		if err := dropAllTriggers(ctx, removal(pool), run, prefixOf(run, d)); err != nil {
			return err
		}
	}
	return unfreeze(ctx, pool, run)
}

// BreakReverse is [Break] in the watch: what the new side writes is not taken back any
// more, so that the way back is closed, and its server has its disk for itself. Nothing
// is dropped but triggers.
func BreakReverse(ctx context.Context, pool *pgxpool.Pool, run *control.Run) error {
	if err := closeJournals(ctx, pool, run, ToOld); err != nil {
		return err
	}
	if err := silence(ctx, pool, run, ToOld); err != nil && pg.State(err) != pgerrcode.DiskFull { // what is closed records nothing
		return fmt.Errorf("break off the reverse capture: %w", err)
	}
	return dropAllTriggers(ctx, removal(pool), run, prefixOf(run, ToOld))
}

// once is one attempt without tables to lock.
func (l locker) once(ctx context.Context, f func(pgx.Tx) error) error {
	return pg.ReadCommitted(ctx, l.pool, func(tx pgx.Tx) error {
		if err := l.lock(ctx, tx, accessExclusive, nil); err != nil {
			return err
		}
		return f(tx)
	})
}

func silenceAll(ctx context.Context, db pg.Querier, run *control.Run) error {
	for _, d := range []Direction{ToShadow, ToOld} {
		if err := silence(ctx, db, run, d); err != nil {
			return fmt.Errorf("break off the capture: %w", err)
		}
	}
	return nil
}
