package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// installer makes what one run needs in production.
type installer struct {
	pool  *pgxpool.Pool
	run   *control.Run
	log   *slog.Logger
	locks locker
}

func newInstaller(pool *pgxpool.Pool, run *control.Run, log *slog.Logger) *installer {
	return &installer{pool, run, log, locker{pool, log, installBudget(run), installPatience}}
}

func installBudget(run *control.Run) time.Duration {
	if w := run.Plan.Settings.Cutover.LockTimeout; w > 0 && w < installWait {
		return w
	}
	return installWait
}

// Install makes journals, triggers and freezes for all sources of the run, and
// the event trigger where the role may make one. Each source's triggers come in
// one transaction, behind SHARE ROW EXCLUSIVE locks on its members; writers
// wait for it at most the lock budget (200 ms) at a time, readers never. What
// was installed before is kept where its fingerprint is unchanged; otherwise it
// is made anew before copying has begun, and [ErrChanged] afterwards.
//
// Only after it has returned may any snapshot be taken to copy from.
func Install(ctx context.Context, pool *pgxpool.Pool, run *control.Run, log *slog.Logger) error {
	in := newInstaller(pool, run, log)
	if err := refuseSubscribers(ctx, pool, run); err != nil {
		return err
	}
	if err := in.base(ctx); err != nil {
		return err
	}
	for i := range run.Plan.Sources {
		if err := in.source(ctx, &run.Plan.Sources[i]); err != nil {
			return err
		}
	}
	if err := showAll(ctx, in.locks); err != nil {
		return err
	}
	return in.eventTrigger(ctx)
}

// refuseSubscribers: an apply worker of logical replication fires row-level
// triggers only, so statement-level ones would miss its rows.
func refuseSubscribers(ctx context.Context, db pg.Querier, run *control.Run) error {
	var oids []uint32
	for _, s := range run.Plan.Sources {
		for _, m := range s.Members {
			oids = append(oids, m.OID)
		}
	}
	var tables *string
	err := db.QueryRow(ctx, `SELECT pg_catalog.string_agg(srrelid::pg_catalog.regclass::text, ', ' ORDER BY srrelid)
		FROM pg_catalog.pg_subscription_rel WHERE srrelid = ANY ($1)`, oids).Scan(&tables)
	if err != nil {
		return fmt.Errorf("look for subscriptions: %w", err)
	}
	if tables != nil {
		return fmt.Errorf("%s are filled by a subscription, whose changes fire no statement-level trigger: drop the subscription first", *tables)
	}
	return nil
}

// base makes what all tables of the run share: the sequence and the
// fingerprint's function.
func (in *installer) base(ctx context.Context) error {
	err := in.tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "CREATE SEQUENCE IF NOT EXISTS "+sequence(in.run.ID).Quoted()+" CACHE 1;\n"+fingerprintScript(in.run.ID))
		return err
	})
	if err != nil {
		return fmt.Errorf("make the journals' sequence: %w", err)
	}
	return nil
}

func (in *installer) tx(ctx context.Context, f func(pgx.Tx) error) error {
	return pg.ReadCommitted(ctx, in.pool, func(tx pgx.Tx) error {
		if err := control.CheckEpoch(ctx, tx, in.run); err != nil {
			return err
		}
		return f(tx)
	})
}

func (in *installer) source(ctx context.Context, src *plans.Source) error {
	kept, err := in.keeps(ctx, src)
	if err != nil || kept {
		return err
	}
	t, err := forwardTarget(ctx, in.pool, in.run, src)
	if err != nil {
		return err
	}
	if err := in.prepare(ctx, t); err != nil {
		return fmt.Errorf("make the journal of %s: %w", t.Table, err)
	}
	if err := in.arm(ctx, t); err != nil {
		return fmt.Errorf("capture %s: %w", t.Table, err)
	}
	in.log.Info("captured", "table", t.Table.String(), "members", len(t.members), "record", string(t.Record), "frozen", t.frozen)
	return nil
}

// keeps reports whether the source is captured already as it should be. Files
// may have been exchanged since: that loses no change.
func (in *installer) keeps(ctx context.Context, src *plans.Source) (bool, error) {
	changes, err := Check(ctx, in.pool, in.run, src)
	if errors.Is(err, ErrNotInstalled) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, c := range changes {
		if c.Kind == Filenode || c.Kind == States {
			continue
		}
		if in.run.Phase != control.Building && in.run.Phase != control.Capturing {
			return false, fmt.Errorf("%w: %s\n%s", ErrChanged, src.Name, c.Detail)
		}
		return false, dropTable(ctx, in.locks, in.run, Forward(in.run, src))
	}
	return true, nil
}

// prepare makes journal and functions; nothing calls them yet. Takes ACCESS
// SHARE on the captured table at most. A leftover without record is replaced:
// the record comes with the triggers, so nothing was ever written to it.
func (in *installer) prepare(ctx context.Context, t *target) error {
	script := t.functionsScript(t.Tables()[0])
	if !t.frozen {
		journal, err := t.journalScript()
		if err != nil {
			return err
		}
		script = dropJournalScript(t.base()) + journal + script
	}
	return in.tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, script)
		return err
	})
}

// arm makes the triggers and records them, all members in one transaction.
func (in *installer) arm(ctx context.Context, t *target) error {
	return in.locks.run(ctx, shareRowExclusive, t.memberNames(), func(tx pgx.Tx) error {
		if err := control.CheckEpoch(ctx, tx, in.run); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, t.triggersScript()); err != nil {
			return err
		}
		return record(ctx, tx, t.Journal, t.oid)
	})
}

func (t *target) memberNames() []pg.Name {
	all := make([]pg.Name, len(t.members))
	for i, m := range t.members {
		all[i] = m.Name
	}
	return all
}

// Repair makes a source's triggers whole again after they were disabled or
// dropped: in one transaction under the lock budget of [Install], with the
// record renewed. What was written in between is in no journal: the caller
// copies the table again, from a snapshot taken after Repair. A change of the
// structure is [ErrChanged].
func Repair(ctx context.Context, pool *pgxpool.Pool, run *control.Run, src *plans.Source) error {
	in := newInstaller(pool, run, slog.New(slog.DiscardHandler))
	t, err := forwardTarget(ctx, pool, run, src)
	if err != nil {
		return err
	}
	var active pg.Name
	if !t.frozen {
		if active, err = activeTable(ctx, pool, t.Journal); err != nil {
			return err
		}
	}
	err = in.locks.run(ctx, accessExclusive, t.memberNames(), func(tx pgx.Tx) error {
		if err := control.CheckEpoch(ctx, tx, in.run); err != nil {
			return err
		}
		if err := unchangedStructure(ctx, tx, run, src); err != nil {
			return err
		}
		if err := dropTriggers(ctx, tx, run.ID, t.memberOIDs()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, t.functionsScript(active)+t.triggersScript()); err != nil {
			return err
		}
		return record(ctx, tx, t.Journal, t.oid)
	})
	if err != nil {
		return fmt.Errorf("repair the capture of %s: %w", src.Name, err)
	}
	return nil
}

func unchangedStructure(ctx context.Context, tx pgx.Tx, run *control.Run, src *plans.Source) error {
	changes, err := Check(ctx, tx, run, src)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.Kind == Structure {
			return fmt.Errorf("%w: %s\n%s", ErrChanged, src.Name, c.Detail)
		}
	}
	return nil
}
