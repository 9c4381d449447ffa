package replay

import (
	"context"
	"fmt"
	"slices"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

const (
	// pendingLimit bounds what counting costs; more is "very many".
	pendingLimit = 1_000_000
	// perQuery bounds how many tables one query looks into: with their indexes
	// each takes about seven locks of max_locks_per_transaction's pool.
	perQuery = 50
)

// Pending counts the journal rows that are news to a table, up to 1,000,000.
// Zero for a table without a position: it is copied first. db is production:
// positions are read there.
func (r *Replayer) Pending(ctx context.Context, db pg.Querier, t *plans.Table) (int64, error) {
	f, err := newApplier(r.Run, t)
	if err != nil {
		return 0, err
	}
	counts, err := r.count(ctx, db, []*applier{f})
	return counts[t.N], err
}

// PendingAll is [Replayer.Pending] of each table by its number; tables without
// any are left out. Empty journals cost next to nothing.
func (r *Replayer) PendingAll(ctx context.Context, db pg.Querier) (map[int]int64, error) {
	busy, err := r.withEntries(ctx, db)
	if err != nil {
		return nil, err
	}
	return r.count(ctx, db, busy)
}

func (r *Replayer) count(ctx context.Context, db pg.Querier, appliers []*applier) (map[int]int64, error) {
	all := make(map[int]int64)
	err := r.ask(ctx, db, appliers, func(f *applier) string {
		return fmt.Sprintf("(SELECT count(*) FROM (%s LIMIT %d) AS c)", f.selectUnread(), pendingLimit)
	}, all)
	return all, err
}

// pendingOf counts the journal rows that are news to the table, until they make it
// a hot one. At least one where production does not know how far it came: a batch
// says what is to be done.
func (r *Replayer) pendingOf(ctx context.Context, f *applier) (int64, error) {
	found := make(map[int]int64)
	err := r.ask(ctx, r.Sides.Production, []*applier{f}, func(f *applier) string {
		return fmt.Sprintf("(p.position IS NULL)::integer + (SELECT count(*) FROM (%s LIMIT %d) AS c)", f.selectUnread(), r.hotChanges())
	}, found)
	return found[f.t.N], err
}

// withPending picks the tables with unread journal rows, and those of which
// production does not know how far they came: a batch says what is to be done.
func (r *Replayer) withPending(ctx context.Context, db pg.Querier, appliers []*applier) ([]*applier, error) {
	found := make(map[int]int64)
	err := r.ask(ctx, db, appliers, func(f *applier) string {
		return fmt.Sprintf("(p.position IS NULL OR EXISTS (%s))::integer", f.selectUnread())
	}, found)
	return slices.DeleteFunc(slices.Clone(appliers), func(f *applier) bool { return found[f.t.N] == 0 }), err
}

// selectUnread selects nothing from each unread row; p is the table's row in
// the control schema.
func (f *applier) selectUnread() string {
	journals := f.journals()
	return joined(len(journals), " UNION ALL ", func(i int) string {
		return fmt.Sprintf("SELECT FROM %s AS j WHERE %s", journals[i].Name().Quoted(), unreadAt("j", "p.position"))
	})
}

// ask evaluates a number for each table, many in one query, and adds those
// that are not zero to all.
func (r *Replayer) ask(ctx context.Context, db pg.Querier, appliers []*applier, number func(*applier) string, all map[int]int64) error {
	appliers = slices.DeleteFunc(slices.Clone(appliers), func(f *applier) bool { return len(f.journals()) == 0 })
	for some := range slices.Chunk(appliers, perQuery) {
		rows, err := db.Query(ctx, joined(len(some), " UNION ALL ", func(i int) string {
			return fmt.Sprintf("SELECT p.n, %s FROM %s AS p WHERE p.n = %d", number(some[i]), control.TablesOf("$1"), some[i].t.N)
		}), r.Run.ID)
		if err != nil {
			return fmt.Errorf("look for unread journal rows: %w", err)
		}
		for rows.Next() {
			var n int
			var value int64
			if err := rows.Scan(&n, &value); err != nil {
				rows.Close()
				return err
			}
			if value > 0 {
				all[n] = value
			}
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("look for unread journal rows: %w", err)
		}
	}
	return nil
}

// withEntries picks the tables whose journals are not empty files: of a
// thousand tables few are, and a file's size is known without opening it. Of few
// tables all are looked into at once anyway.
func (r *Replayer) withEntries(ctx context.Context, db pg.Querier) ([]*applier, error) {
	var appliers []*applier
	var tables []string
	for i := range r.Run.Plan.Tables {
		f, err := newApplier(r.Run, &r.Run.Plan.Tables[i])
		if err != nil {
			return nil, err
		}
		appliers = append(appliers, f)
		for _, j := range f.journals() {
			tables = append(tables, j.Tables()[0].Name, j.Tables()[1].Name)
		}
	}
	if len(appliers) <= perQuery {
		return appliers, nil
	}
	filled, err := nonEmpty(ctx, db, tables)
	return slices.DeleteFunc(appliers, func(f *applier) bool {
		return !slices.ContainsFunc(f.journals(), func(j capture.Journal) bool {
			return filled[j.Tables()[0].Name] || filled[j.Tables()[1].Name]
		})
	}), err
}

func nonEmpty(ctx context.Context, db pg.Querier, tables []string) (map[string]bool, error) {
	rows, err := db.Query(ctx, `SELECT c.relname::text FROM pg_catalog.pg_class AS c
		WHERE c.relnamespace = 'pgumbra'::regnamespace::oid AND c.relname = ANY ($1::text[])
		AND pg_catalog.pg_relation_size(c.oid) > 0`, tables)
	if err != nil {
		return nil, fmt.Errorf("read the sizes of journals: %w", err)
	}
	defer rows.Close()
	filled := make(map[string]bool)
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		filled[name] = true
	}
	return filled, rows.Err()
}
