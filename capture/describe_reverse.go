package capture

import (
	"context"
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/pgdump"
)

// DescribeReverse tells what [PrepareReverse] will do with the tables of the shadow,
// by the very texts that it sends, and what takes that away again at the end; nothing
// where the plan wants no watch. The tables are not there yet, so it is told by what
// the plan says of them: a collation of a column's own is told as its type's, and a
// type that the migrations make as one whose equal values may be spelt differently.
// It looks at production, and changes nothing.
func DescribeReverse(ctx context.Context, db pg.Querier, plan *plans.Plan) (prepare, remove []string, err error) {
	if !plan.Reversible() {
		return nil, nil, nil
	}
	run := &control.Run{ID: untoldRun, Name: plan.Run, Plan: plan}
	if plan.Remote {
		prepare = append(prepare, told(fingerprintScript(run.ID)))
	}
	prepare = append(prepare, told(limitDropScript(run.ID, ToOld)), told(limitScript(run, ToOld)))
	remove = closingTold(run.ID, ToOld)
	for i := range plan.Tables {
		table := &plan.Tables[i]
		if !plan.CapturedFromSwap(table) {
			continue
		}
		t, err := foreseenTarget(ctx, db, run, table)
		if err != nil {
			return nil, nil, fmt.Errorf("tell how %s is captured: %w", table.Final, err)
		}
		script, err := t.preparingScript()
		if err != nil {
			return nil, nil, err
		}
		prepare = append(append(prepare, told(script)), t.armingTold()...)
		remove = append(remove, t.removalTold(plan.Final)...)
	}
	return prepare, remove, nil
}

// DescribeReverseCheck tells what [ReverseTriggers] gives the swap; "" where there is
// no watch.
func DescribeReverseCheck(plan *plans.Plan) string {
	return told(ReverseTriggers(&control.Run{ID: untoldRun, Name: plan.Run, Plan: plan}))
}

// foreseenTarget is [reverseTarget] of a table that is not there yet.
func foreseenTarget(ctx context.Context, db pg.Querier, run *control.Run, table *plans.Table) (*target, error) {
	t := &target{Journal: Reverse(run, table), run: run.Name, notOurs: control.NotOurs(run), rowType: table.Shadow.Quoted(), most: limitOf(run) / 4}
	for i := range run.Plan.Entries {
		if e := &run.Plan.Entries[i]; e.Tag == "TABLE" && e.Root == table.Shadow {
			made, _ := pgdump.ParseTable(e.SQL)
			t.members = append(t.members, plans.Member{Name: e.Name, Leaf: !made.Partitioned})
		}
	}
	if err := t.foreseeColumns(ctx, db, table.Columns); err != nil {
		return nil, fmt.Errorf("look up the types of its columns: %w", err)
	}
	t.rename(run.Plan.AfterFence(table))
	return t, nil
}

// plannedColumns are [liveColumns] of columns given by their names and types. Of a
// length, numeric's aside, the catalogs have four more than the type's text; what other
// types have in brackets is no length, and an interval's would be refused.
const plannedColumns = `SELECT c.n::pg_catalog.int2 AS attnum, c.name::pg_catalog.name AS attname, t.typcollation AS attcollation, t.oid AS typ,
        CASE WHEN t.typcategory IN ('S', 'V', 'N') THEN COALESCE((pg_catalog.regexp_match(c.type, '\(([0-9]+)'))[1]::pg_catalog.int4 + 4, -1) ELSE -1 END AS typmod,
        t.typstorage AS attstorage
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) WITH ORDINALITY AS c (name, type, n)
    JOIN pg_catalog.pg_type t ON t.oid = pg_catalog.to_regtype(c.type)`

// foreseeColumns takes from the server what it knows of the types. One that it does not
// know yet may be as long as any.
func (t *target) foreseeColumns(ctx context.Context, db pg.Querier, planned []plans.Column) error {
	var names, types []string
	for _, c := range planned {
		names, types = append(names, c.Shadow), append(types, c.Type)
	}
	known, err := queryColumns(ctx, db, plannedColumns, names, types)
	if err != nil {
		return err
	}
	byName := map[string]column{}
	for _, c := range known {
		byName[c.name] = c
	}
	for _, p := range planned {
		c, there := byName[p.Shadow]
		if !there {
			c.long = true
		}
		_, collation, collated := strings.Cut(c.typ, " COLLATE ")
		c.name, c.typ = p.Shadow, p.Type
		if collated {
			c.typ += " COLLATE " + collation
		}
		t.columns = append(t.columns, c)
	}
	return nil
}
