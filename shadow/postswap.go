package shadow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// postSwapPatience is how long [PostSwap] goes on trying for one lock that
// others hold, with pauses in which everybody else gets through.
const postSwapPatience = 10 * time.Minute

// PostSwap completes the foreign keys after the swap, online: those that were
// valid are validated, each in its own transaction; partitioned tables get their
// own over those of their leaves. What was NOT VALID stays so. Idempotent.
//
// VALIDATE takes SHARE UPDATE EXCLUSIVE on the referencing table and ROW SHARE
// on the referenced one, which no reader or writer waits for. A partitioned
// table's key takes SHARE ROW EXCLUSIVE on both for some milliseconds: writers
// wait for at most cutover.lock_timeout, then it gives up and tries later.
//
// A key that somebody dropped since the swap is left alone.
func PostSwap(ctx context.Context, sides control.Sides, run *control.Run) error {
	pool := sides.Shadow
	for _, k := range foreignKeys(run.Plan) {
		tables := k.leaves
		if len(tables) == 0 {
			tables = []pg.Name{k.table}
		}
		if k.valid {
			for _, t := range tables {
				if err := validate(ctx, pool, run, final(run.Plan, t), k.name); err != nil {
					return fmt.Errorf("validate foreign key %s of %s: %w", k.name, final(run.Plan, t), err)
				}
			}
		}
		if len(k.leaves) > 0 {
			if err := checkBuilt(ctx, pool, run, k); err != nil {
				return err
			}
			if err := addToRoot(ctx, pool, run, k); err != nil {
				return fmt.Errorf("add foreign key %s to %s: %w", k.name, final(run.Plan, k.table), err)
			}
		}
	}
	return nil
}

// constraint is what the catalog says of a foreign key.
type constraint struct {
	valid      bool
	definition string
}

// foreignKeyOf reads a constraint; nil when it is not there.
func foreignKeyOf(ctx context.Context, db pg.Querier, table pg.Name, name string) (*constraint, error) {
	var k constraint
	err := db.QueryRow(ctx, `SELECT convalidated, pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint
		WHERE conrelid = pg_catalog.to_regclass($1) AND conname = $2 AND contype = 'f'`, table.Quoted(), name).
		Scan(&k.valid, &k.definition)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &k, err
}

func validate(ctx context.Context, pool *pgxpool.Pool, run *control.Run, table pg.Name, name string) error {
	k, err := foreignKeyOf(ctx, pool, table, name)
	if err != nil || k == nil || k.valid {
		return err
	}
	return patiently(ctx, pool, run, "ALTER TABLE "+table.Quoted()+" VALIDATE CONSTRAINT "+pg.Ident(name))
}

// addToRoot takes the definition from a leaf's key: the plan's text has the
// shadow's names. pg_get_constraintdef qualifies names that search_path does not
// reach, so it is read where that is empty.
func addToRoot(ctx context.Context, pool *pgxpool.Pool, run *control.Run, k foreignKey) error {
	root := final(run.Plan, k.table)
	var onRoot, onLeaf *constraint
	err := pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		err := set(ctx, tx, "search_path", "")
		if err != nil {
			return err
		}
		if onRoot, err = foreignKeyOf(ctx, tx, root, k.name); err != nil {
			return err
		}
		for _, leaf := range k.leaves { // one may have been dropped meanwhile
			if onLeaf, err = foreignKeyOf(ctx, tx, final(run.Plan, leaf), k.name); err != nil || onLeaf != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || onRoot != nil || onLeaf == nil {
		return err
	}
	script := "ALTER TABLE " + root.Quoted() + " ADD CONSTRAINT " + pg.Ident(k.name) + " " + onLeaf.definition
	if text, _ := k.comment(run.Plan); text != "" {
		script += ";\nCOMMENT ON CONSTRAINT " + pg.Ident(k.name) + " ON " + root.Quoted() + " IS " + text
	}
	return patiently(ctx, pool, run, script)
}

// patiently runs a script in one transaction, each time with a short budget for
// its locks, until it gets them. The epoch is not checked: each script says what
// is to be, and is harmless from whomever it comes.
func patiently(ctx context.Context, pool *pgxpool.Pool, run *control.Run, script string) error {
	budget := run.Plan.Settings.Cutover.LockTimeout
	if budget <= 0 {
		budget = plans.DefaultSettings().Cutover.LockTimeout
	}
	pauses := pg.Pauses{First: 100 * time.Millisecond, Longest: 5 * time.Second, Patience: postSwapPatience}
	passing := func(err error) bool { return pg.SilentTooLong(err) || repeatable(err) }
	return pg.Retry(ctx, pauses, passing, func() error {
		return pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
			if err := set(ctx, tx, "lock_timeout", fmt.Sprintf("%dms", max(1, budget.Milliseconds()))); err != nil {
				return err
			}
			if err := pg.BoundSilence(ctx, tx, pg.Silence); err != nil {
				return err
			}
			return tx.Conn().PgConn().Exec(ctx, script).Close()
		})
	})
}
