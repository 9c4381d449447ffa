package replay

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Since is where tables stood when something was asked of all their rows. Their
// journals tell what was touched from then on, as long as these were not emptied.
type Since struct {
	position string
	journals map[int]string // their storage, by the table's number
}

// Touched is what was touched of a table. Rows stands after FROM: those that are there, as
// s. Keys is a relation of all of the keys, in which Columns names the table's columns. Both
// are empty where it cannot be told by keys, of a table without one, or after a TRUNCATE.
type Touched struct {
	Changes    int64
	Rows, Keys string
	Columns    map[string]string

	byKey bool
}

// AlignedSince is [Replayer.Aligned] for what has been asked of the same tables before:
// work is given what was touched of each since then, in the shadow's transaction; nil
// where that is not known, as for since nil. It returns where the tables stand now.
func (r *Replayer) AlignedSince(ctx context.Context, tables []*plans.Table, since *Since, work func(pgx.Tx, map[pg.Name]Touched) error) (*Since, error) {
	appliers, followed, err := r.followed(ctx, tables)
	if err != nil {
		return nil, err
	}
	now := new(Since)
	err = r.repeat(ctx, appliers, func() (err error) {
		if now.journals, err = r.journalsOf(ctx, r.Sides.Production, appliers); err != nil {
			return err
		}
		return r.align(ctx, appliers, followed, func(e ends) error {
			if err := e.production.QueryRow(ctx, `SELECT pg_catalog.pg_current_snapshot()::text`).Scan(&now.position); err != nil {
				return fmt.Errorf("read the snapshot: %w", err)
			}
			return r.touchedSince(ctx, e, appliers, since, work)
		})
	})
	return now, err
}

// followed are the tables that journals feed.
func (r *Replayer) followed(ctx context.Context, tables []*plans.Table) (appliers []*applier, followed []*plans.Table, err error) {
	for _, t := range tables {
		f, err := r.applier(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		if f.kind() != static {
			appliers, followed = append(appliers, f), append(followed, t)
		}
	}
	return appliers, followed, nil
}

func (r *Replayer) journalsOf(ctx context.Context, db pg.Querier, appliers []*applier) (map[int]string, error) {
	all := map[int]string{}
	for _, f := range appliers {
		storage, err := journalStorage(ctx, db, f)
		if err != nil {
			return nil, err
		}
		all[f.t.N] = storage
	}
	return all, nil
}

// touchedSince gives work what entries since then touch.
func (r *Replayer) touchedSince(ctx context.Context, e ends, appliers []*applier, since *Since, work func(pgx.Tx, map[pg.Name]Touched) error) error {
	if since == nil {
		return work(e.shadow, nil)
	}
	all, err := r.pendingSince(ctx, e, appliers, since)
	if err != nil {
		return err
	}
	if all == nil {
		return work(e.shadow, nil)
	}
	for _, f := range appliers {
		if one := all[f.t.Shadow]; one.byKey {
			if err := f.tellTouched(ctx, e, scope{position: since.position, reread: true}, &one); err != nil {
				return err
			}
			all[f.t.Shadow] = one
		}
	}
	if err := byIndex.set(ctx, e.shadow); err != nil {
		return err
	}
	if err := work(e.shadow, all); err != nil {
		return err
	}
	if err := anyWay.set(ctx, e.shadow); err != nil {
		return err
	}
	return r.unstageTouched(ctx, e, appliers, all)
}

// pendingSince counts what came since then; nil: journals were emptied meanwhile.
func (r *Replayer) pendingSince(ctx context.Context, e ends, appliers []*applier, since *Since) (map[pg.Name]Touched, error) {
	all := map[pg.Name]Touched{}
	for _, f := range appliers {
		n, err := f.readPending(ctx, e.production, since.position) // locks the journals: they are not emptied any more
		if err != nil {
			return nil, err
		}
		all[f.t.Shadow] = Touched{Changes: n.changes, byKey: n.changes > 0 && n.changes <= mostTouched && f.kind() == keyed && !n.whole && !n.member}
	}
	journals, err := r.journalsOf(ctx, e.production, appliers)
	for n, storage := range journals {
		if storage != since.journals[n] {
			return nil, err
		}
	}
	return all, err
}

// tellTouched names the keys that entries of a scope touch; to another database they
// are staged.
func (f *applier) tellTouched(ctx context.Context, e ends, s scope, t *Touched) error {
	if err := f.stage(ctx, e, byIndex, f.touchedKeys(s)); err != nil {
		return err
	}
	w := f.writer(e)
	t.Rows, t.Keys, t.Columns = w.shadowRows(s.inlined(), group{inline: true}), "("+f.selectDistinct(s.inlined())+")", map[string]string{}
	if w.onShadow {
		t.Keys = w.receivedSet("touched", w.keyTypes(w.k))
	}
	for i, p := range f.pairs() {
		t.Columns[p.Shadow] = f.k(i)
	}
	return nil
}

func (r *Replayer) unstageTouched(ctx context.Context, e ends, appliers []*applier, touched map[pg.Name]Touched) error {
	for _, f := range appliers {
		if !touched[f.t.Shadow].byKey {
			continue
		}
		if err := f.finish(ctx, e, anyWay, nil, f.keySet("touched", "")); err != nil {
			return err
		}
	}
	return nil
}
