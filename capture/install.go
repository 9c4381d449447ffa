package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	return &installer{pool, run, log, locker{pool: pool, log: log, wait: installBudget(run), patience: installPatience}}
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
	if err := Guard(ctx, pool, run, ToShadow); err != nil {
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
	return in.eventTrigger(ctx, ToShadow)
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

// base makes what all tables of the run share, the fingerprint's function, and
// asks for WAL's position before any trigger does: where a server refuses it,
// clients would fail.
func (in *installer) base(ctx context.Context) error {
	err := in.tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SELECT "+byPosition.next+";\n"+fingerprintScript(in.run.ID))
		return err
	})
	if err != nil {
		return fmt.Errorf("prepare the capture: %w", err)
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
	t, err := sourceTarget(ctx, in.pool, in.run, src)
	if err == nil {
		err = t.sameMembers(src)
	}
	if err != nil {
		return err
	}
	if err := in.prepare(ctx, t); err != nil {
		return fmt.Errorf("make the journal of %s: %w", t.Table, err)
	}
	if err := in.arm(ctx, t); err != nil {
		return fmt.Errorf("capture %s: %w", t.Table, err)
	}
	log := in.log
	if len(t.members) > 1 {
		log = log.With("members", len(t.members))
	}
	if t.frozen {
		log = log.With("frozen", true)
	}
	log.Info("captured", "table", t.Table.String(), "record", string(t.Record))
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
		return false, dropTable(ctx, in.locks, in.run, JournalOf(in.run, src))
	}
	return true, nil
}

// prepare makes journal and functions; nothing calls them yet. Takes ACCESS
// SHARE on the captured table at most. A leftover without record is replaced:
// the record comes with the triggers, so nothing was ever written to it.
func (in *installer) prepare(ctx context.Context, t *target) error {
	t.sequenced = false // it is made anew
	script, err := t.preparingScript()
	if err != nil {
		return err
	}
	return in.tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, script)
		return err
	})
}

// preparingScript makes a journal where none is, and the functions.
func (t *target) preparingScript() (string, error) {
	script := t.functionsScript(t.Tables()[0]) + t.partitionsScript()
	if t.frozen {
		return script, nil
	}
	journal, err := t.journalScript()
	return dropJournalScript(t.base()) + journal + script, err
}

// membersAtOnce bounds for how long writers of a partition wait while triggers
// are made on others: about a millisecond a trigger.
const membersAtOnce = 16

// arm makes the triggers and records them. A large partition tree takes several
// transactions; it is captured once the last has committed, and a crash in
// between leaves no record, so that the next Install begins anew.
func (in *installer) arm(ctx context.Context, t *target) error {
	left := fmt.Sprintf("%s%d_", prefixOf(in.run, t.Direction), t.N)
	if err := dropAllTriggers(ctx, in.locks, in.run, left); err != nil {
		return err
	}
	err := in.eachMember(ctx, shareRowExclusive, t, func(tx pgx.Tx, members []plans.Member) error {
		_, err := tx.Exec(ctx, t.triggersScript(members))
		return err
	})
	if err != nil {
		return err
	}
	return in.tx(ctx, func(tx pgx.Tx) error { return recordWhole(ctx, tx, t) })
}

// eachMember runs f in transactions that hold a few members locked each.
func (in *installer) eachMember(ctx context.Context, mode lockMode, t *target, f func(pgx.Tx, []plans.Member) error) error {
	for members := range slices.Chunk(t.members, membersAtOnce) {
		err := in.locks.run(ctx, mode, memberNames(members), func(tx pgx.Tx) error {
			if err := control.CheckEpoch(ctx, tx, in.run); err != nil {
				return err
			}
			return f(tx, members)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// recordWhole records a table if every trigger of ours is there and enabled:
// somebody may have disabled one before it was recorded.
func recordWhole(ctx context.Context, tx pgx.Tx, t *target) error {
	if err := record(ctx, tx, t.Journal, t.oid); err != nil {
		return err
	}
	want := 0
	for _, m := range t.members {
		want += len(t.triggers(m))
	}
	var got int
	err := tx.QueryRow(ctx, `SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger
		WHERE tgrelid = ANY ($1) AND tgenabled = 'A' AND pg_catalog.starts_with(tgname::text, $2)`,
		t.memberOIDs(), triggerPrefix(t.Run)).Scan(&got)
	if err == nil && got != want {
		return fmt.Errorf("%s has %d of %d triggers: somebody drops or disables them", t.Table, got, want)
	}
	return err
}

func memberNames(members []plans.Member) []pg.Name {
	all := make([]pg.Name, len(members))
	for i, m := range members {
		all[i] = m.Name
	}
	return all
}

// Repair makes a source's triggers whole again after they were disabled or
// dropped, or partitions came and went, under the lock budget of [Install] but behind ACCESS EXCLUSIVE locks,
// and renews the record. What was written in between is in no journal: the
// caller copies the table again, from a snapshot taken after Repair. A change of
// the structure is [ErrChanged].
func Repair(ctx context.Context, pool *pgxpool.Pool, run *control.Run, src *plans.Source) error {
	in := newInstaller(pool, run, slog.New(slog.DiscardHandler))
	t, err := sourceTarget(ctx, pool, run, src)
	if err == nil {
		err = t.sameMembers(src)
	}
	if err != nil {
		return err
	}
	var active pg.Name
	if !t.frozen {
		if active, err = activeTable(ctx, pool, t.Journal); err != nil {
			return err
		}
	}
	if err := unchangedStructure(ctx, pool, run, src); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, t.functionsScript(active)); err != nil {
		return fmt.Errorf("repair the capture of %s: %w", src.Name, err)
	}
	if err := dropLeftTriggers(ctx, in.locks, run, t); err != nil {
		return err
	}
	err = in.eachMember(ctx, accessExclusive, t, func(tx pgx.Tx, members []plans.Member) error {
		if err := dropTriggers(ctx, tx, run.ID, oidsOf(members)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, t.triggersScript(members))
		return err
	})
	if err == nil {
		err = in.tx(ctx, func(tx pgx.Tx) error { return recordWhole(ctx, tx, t) })
	}
	if err != nil {
		return fmt.Errorf("repair the capture of %s: %w", src.Name, err)
	}
	return nil
}

func unchangedStructure(ctx context.Context, db pg.Querier, run *control.Run, src *plans.Source) error {
	changes, err := Check(ctx, db, run, src)
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
