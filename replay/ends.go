package replay

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// ends are the transactions that a batch reads production and writes the shadow
// with: the same one where both are one database.
type ends struct {
	production, shadow pgx.Tx
}

func (e ends) remote() bool { return e.production != e.shadow }

// both runs something on each side at once, or one after the other in the one
// transaction there is.
func (e ends) both(production, shadow func() error) error {
	if !e.remote() {
		if err := production(); err != nil {
			return err
		}
		return shadow()
	}
	var g errgroup.Group
	g.Go(production)
	g.Go(shadow)
	return g.Wait()
}

// begin runs work in a REPEATABLE READ transaction of production in which the
// shadow is written, and commits. Apart that is a transaction of the shadow's,
// READ COMMITTED, and it commits when all that was read in production's is on
// disk there: a crash must not take back what the shadow has.
//
// Production's ends first. An error of the shadow's COMMIT for which
// pg.Unreachable is true leaves open whether it happened: the position there
// says it, to whoever locks it next.
func (r *Replayer) begin(ctx context.Context, work func(ends) error) error {
	if !r.Sides.Remote() {
		return pg.RepeatableRead(ctx, r.Sides.Production, func(tx pgx.Tx) error {
			return r.unchecked(ctx, tx, func() error { return work(ends{tx, tx}) })
		})
	}
	return pg.ReadCommitted(ctx, r.Sides.Shadow, func(shadow pgx.Tx) error {
		return r.unchecked(ctx, shadow, func() error { return r.reading(ctx, shadow, work) })
	})
}

// unchecked runs work, which writes the shadow in a transaction that has taken no
// snapshot yet, as what applies another server's changes.
func (r *Replayer) unchecked(ctx context.Context, shadow pgx.Tx, work func() error) error {
	if err := r.underPath(ctx, shadow); err != nil {
		return err
	}
	if r.Replica {
		if _, err := shadow.Exec(ctx, "SET LOCAL session_replication_role = replica"); err != nil {
			return fmt.Errorf("write the shadow without asking its foreign keys: %w", err)
		}
	}
	return work()
}

// underPath has a transaction look for names where the user's transforms and functions
// look. Sessions of ours do not else: where others may create, names lead anywhere. It
// takes no snapshot.
func (r *Replayer) underPath(ctx context.Context, tx pgx.Tx) error {
	var path []string
	for _, element := range pg.Elements(r.Run.Plan.SearchPath) {
		path = append(path, pg.Literal(pg.Named(element)))
	}
	if len(path) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = "+strings.Join(path, ", ")); err != nil {
		return fmt.Errorf("set the search_path: %w", err)
	}
	return nil
}

// reading runs work with a snapshot of production, for a transaction of the
// shadow's that commits after it.
func (r *Replayer) reading(ctx context.Context, shadow pgx.Tx, work func(ends) error) error {
	err := pg.RepeatableRead(ctx, r.Sides.Production, func(production pgx.Tx) error {
		return work(ends{production, shadow})
	})
	if err != nil {
		return err
	}
	return control.Flush(ctx, r.Sides.Production)
}

const checkedOrigin = "pgumbra.origin"

// sameOrigin makes sure, once a session, that production is the server that the
// positions are of: a session never leads to another one, nor to another
// timeline, as a standby has none that it writes.
func (r *Replayer) sameOrigin(ctx context.Context, e ends) error {
	known := e.production.Conn().PgConn().CustomData()
	if known[checkedOrigin] == r.Run.ID {
		return nil
	}
	if err := control.CheckOrigin(ctx, e.production, e.shadow, r.Run); err != nil {
		return err
	}
	known[checkedOrigin] = r.Run.ID
	return nil
}

// hold is a way to lock a table's row: [control.Lock] or [control.Switch].
type hold func(ctx context.Context, tx pgx.Tx, run *control.Run, n int) (control.Position, error)

// enter locks the rows of tables and reads where the transactions stand. All
// locks come before the snapshot: it must not be older than a position.
func (r *Replayer) enter(ctx context.Context, e ends, lock hold, appliers ...*applier) ([]moment, error) {
	all := make([]moment, len(appliers))
	var positions []string
	for i, f := range appliers {
		p, err := lock(ctx, e.shadow, r.Run, f.t.N)
		if pg.State(err) == pgerrcode.SerializationFailure {
			return nil, fmt.Errorf("%w: %w", errTaken, err)
		}
		if err != nil {
			return nil, err
		}
		all[i].Position = p
		if e.remote() && p.Snapshot != nil {
			positions = append(positions, *p.Snapshot)
		}
	}
	now, err := r.look(ctx, e, positions)
	for i := range all {
		all[i].now = now
	}
	return all, err
}

// look takes the snapshot of production. It refuses one that does not see what
// a position saw: that production went back in time, and gives out the same
// numbers again.
func (r *Replayer) look(ctx context.Context, e ends, positions []string) (now string, err error) {
	var ahead []string
	// Positions are constants to the planner, whatever was prepared.
	err = e.production.QueryRow(ctx, `SELECT s::text,
		pg_catalog.set_config('plan_cache_mode', 'force_custom_plan', true),
		pg_catalog.set_config('search_path', COALESCE(NULLIF($1, ''), pg_catalog.current_setting('search_path')), true),
		ARRAY(SELECT p::text FROM pg_catalog.unnest($2::text[]::pg_snapshot[]) AS p
			WHERE pg_snapshot_xmin(s) < pg_snapshot_xmin(p) OR pg_snapshot_xmax(s) < pg_snapshot_xmax(p)
			OR EXISTS (SELECT FROM pg_snapshot_xip(s) AS x WHERE pg_visible_in_snapshot(x, p)))
		FROM pg_catalog.pg_current_snapshot() AS s`, r.Run.Plan.SearchPath, positions).Scan(&now, nil, nil, &ahead)
	if err != nil {
		return "", fmt.Errorf("read the snapshot: %w", err)
	}
	if e.remote() {
		err = r.sameOrigin(ctx, e)
	}
	if err == nil && len(ahead) > 0 {
		err = fmt.Errorf("%w: the shadow stands at snapshot %s, and production only at %s: it lost transactions",
			control.ErrOrigin, ahead[0], now)
	}
	return now, err
}

// leave makes sure that what was read proves something, and reads what the
// shadow's transaction is about to commit, for mirror.
func (r *Replayer) leave(ctx context.Context, e ends, before string, members []uint32, tables ...*plans.Table) (committed []byte, err error) {
	err = e.both(
		func() error { return unmoved(ctx, e.production, members, before) },
		func() (err error) {
			if e.remote() {
				committed, err = r.positions(ctx, e.shadow, tables...)
			}
			return err
		})
	return committed, err
}
