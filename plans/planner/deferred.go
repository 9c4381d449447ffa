package planner

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/migrations"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/transforms"
)

// An INSERT beside production's rows is not understood, but may wait for the swap by
// itself, and so may what changes such rows: package transforms finds such statements, and what stands against it. A plan
// that found some is made once more without them; they are kept to run in the swap.

// deferMore is the same cut with the statements that may wait, and stand before the first
// one that is not understood otherwise. Not ok: there is none.
func (m *task) deferMore() (cut, bool) {
	next := m.cut
	next.deferred, next.whyWaits = slices.Clone(m.cut.deferred), maps.Clone(m.cut.whyWaits)
	if m.migrations == nil || m.plan.ToVersion == nil {
		return next, false
	}
	until := m.notDeferrable()
	if m.sees != nil { // the next trial would fail there
		until = min(until, max(0, m.fileNumber(fileOf(m.sees.Where))))
	}
	for _, p := range m.deferrable {
		if i := m.fileNumber(p.File); i >= 0 && i < until && !slices.Contains(next.deferred, p) {
			next.deferred = append(next.deferred, p)
			next.whyWaits[p] = m.whyWaits[p]
		}
	}
	more := len(next.deferred) > len(m.cut.deferred)
	shapes := slices.ContainsFunc(next.deferred, func(p syntax.Place) bool { return plans.Shapes(p.SQL) })
	if m.sees == nil || !more || !shapes {
		return next, more
	}
	if !m.cutsItself() {
		return m.cut, false
	}
	return next.before(m.understood()[until], plans.Reason{Where: m.sees.Where, Object: m.sees.Object, Message: m.sees.Message}), true
}

// notDeferrable is the first file, by its number among those before the fence, with a
// statement that neither is understood nor may wait.
func (m *task) notDeferrable() int {
	until := len(m.understood())
	for _, f := range m.plan.Findings {
		i := m.fileNumber(fileOf(f.Where))
		mayWait := slices.ContainsFunc(m.deferrable, func(p syntax.Place) bool { return f.Where == fmt.Sprintf("%s:%d", p.File, p.Line) })
		if f.Opaque && i >= 0 && !mayWait {
			until = min(until, i)
		}
	}
	return until
}

func (m *task) fileNumber(name string) int {
	return slices.IndexFunc(m.understood(), func(f migrations.File) bool { return f.Name == name })
}

// mayDefer takes over what was found of statements that may wait for the swap. Rows of
// tables that do not move are none of the swap's, and of those that the plan file describes
// it says which there are.
func (m *lineage) mayDefer(found []transforms.Deferral) {
	m.whyWaits = map[syntax.Place]string{}
	for _, d := range found {
		if d.Why != "" && (m.file.Build != plans.Auto || m.fileNumber(d.Place.File) == len(m.understood())-1) {
			continue // nothing is gained, and the cut tells more plainly what it is about
		}
		if !slices.ContainsFunc(append(slices.Clone(d.Reads), d.Target), m.strange) {
			m.deferrable = append(m.deferrable, d.Place)
			m.whyWaits[d.Place] = d.Why
		}
	}
}

func (m *lineage) strange(oid uint32) bool {
	for _, c := range []*catalog.Catalog{m.before, m.after} {
		t := c.ByOID(oid)
		if t == nil {
			continue
		}
		rules, ruled := m.file.Table(t.Name)
		if !m.moving(t.Name.Schema) || t.Name == m.version.table || ruled && (rules.Skip || rules.Freeze || rules.From.SQL != "" || rules.Where.SQL != "") {
			return true
		}
	}
	return false
}

// failedFor notes a statement that fails for rows which scratch has not, and might wait
// for the swap, with those like it: each would fail in turn.
func (m *trial) failedFor(statement syntax.Statement, file string) {
	table := insertedInto(statement.SQL)
	if table == "" {
		return
	}
	for _, p := range m.trace.places {
		if p.File == file && p.SQL == statement.SQL || insertedInto(p.SQL) == table {
			m.deferrable = append(m.deferrable, p)
		}
	}
}

// insertedInto is the table of an INSERT that may run elsewhere; empty: it is none.
func insertedInto(sql string) string {
	in, ok := syntax.ReadInsertion(sql)
	if !ok {
		return ""
	}
	return pg.Name{Schema: in.Target.GetSchemaname(), Name: in.Target.GetRelname()}.Quoted()
}

// keepDeferred keeps the statements that run in the swap, and where the transactions end
// that they have in place.
func (m *site) keepDeferred(files []migrations.File) error {
	for _, f := range files {
		if !slices.ContainsFunc(m.cut.deferred, func(p syntax.Place) bool { return p.File == f.Name }) {
			continue
		}
		text, err := os.ReadFile(f.Path)
		if err != nil {
			return fmt.Errorf("read migration: %w", err)
		}
		all, _, err := syntax.Script(f.Name, string(text))
		if err != nil {
			return err
		}
		kept := plans.BehindFile{Version: f.Version, Name: f.Name}
		for _, s := range all {
			deferred := slices.Contains(m.cut.deferred, syntax.Place{File: f.Name, SQL: s.SQL, Line: s.Line})
			if deferred || s.Manner == syntax.Begin || s.Manner == syntax.Boundary {
				kept.Statements = append(kept.Statements, s)
			}
		}
		if m.plan.Behind == nil {
			m.plan.Behind = &plans.Behind{Built: m.plan.ToVersion, Each: m.file.Migrations.MultiStatement}
		}
		m.plan.Behind.Deferred = append(m.plan.Behind.Deferred, kept)
	}
	return nil
}

// tellDeferred names the tables of what runs in the swap. What was kept for it and cannot
// run there runs behind the fence.
func (m *lineage) tellDeferred(all []transforms.Deferral) {
	for _, d := range all {
		if t := m.after.ByOID(d.Target); t != nil && m.plan.Behind != nil {
			m.plan.Behind.AtSwap = append(m.plan.Behind.AtSwap, plans.AtSwap{File: d.Place.File, Line: d.Place.Line, SQL: d.Place.SQL, Table: t.Name})
		}
	}
	for _, p := range m.cut.deferred {
		followed := slices.ContainsFunc(all, func(d transforms.Deferral) bool { return d.Place == p })
		if !followed && m.fileNumber(p.File) >= 0 { // rolled back, or never reached, in place too
			m.opaque(transforms.CodeBackfill, syntax.OneLine(p.SQL), fmt.Sprintf("%s:%d", p.File, p.Line), "it cannot wait for the swap",
				"nothing, if it may run behind the fence")
		}
	}
}

// filledBefore finds foreign keys that the rows which wait may have to satisfy, from rows
// that are copied before: these would refer to what is not there yet.
func (m *lineage) filledBefore() error {
	if _, more := m.earlier(); more {
		return nil // some of these rows may be filled behind the fence then
	}
	for _, s := range m.plan.AtSwap() {
		if s.Shapes() {
			continue
		}
		for _, k := range m.plan.NewFKs {
			i := slices.IndexFunc(m.tables, func(d *tableDraft) bool { return d.plan.Shadow == k.Table })
			if m.plan.Final(k.References) != s.Table || i < 0 || m.tables[i].plan.Feed == plans.Carried || emptyKey(&m.tables[i].plan, k) {
				continue
			}
			m.opaque(transforms.CodeBackfill, s.Table.String(), s.Where(),
				"it cannot wait for the swap: rows of "+m.plan.Final(k.Table).String()+" may refer to those that it makes, by foreign key "+k.Name,
				"nothing, if it may run behind the fence")
		}
	}
	return nil
}

// emptyKey: no row refers to another by this foreign key until the swap.
func emptyKey(t *plans.Table, k plans.ForeignKey) bool {
	return slices.ContainsFunc(t.Columns, func(c plans.Column) bool {
		return slices.Contains(k.Columns, c.Shadow) && nothing.MatchString(c.Expression)
	})
}

var nothing = regexp.MustCompile(`^NULL(::[\w "()\[\].]+)?$`)

// deferredTold says what runs in the swap by itself.
func (m *task) deferredTold() {
	at := map[pg.Name][]plans.AtSwap{}
	var tables []pg.Name
	for _, s := range m.plan.AtSwap() {
		if at[s.Table] == nil {
			tables = append(tables, s.Table)
		}
		at[s.Table] = append(at[s.Table], s)
	}
	for _, t := range tables {
		m.find(plans.Finding{Level: plans.Info, Code: "at-swap", Object: t.String(), Where: at[t][0].Where(), Message: waitingRuns(at[t]) +
			" for real in the transaction of the swap, after the last change of production's: " + m.whyWaiting(at[t]) + ". Writers wait for it; the trial tries it on the followed shadow"})
	}
}

// whyWaiting says why the statements of one table wait.
func (m *task) whyWaiting(all []plans.AtSwap) string {
	for _, s := range all {
		if why := m.cut.whyWaits[syntax.Place{File: s.File, SQL: s.SQL, Line: s.Line}]; why != "" {
			return s.Where() + " is not understood (" + why + ")"
		}
	}
	return "which rows there are by then, and which numbers are next, only production knows"
}

// waitingRuns says what runs in the swap of one table.
func waitingRuns(all []plans.AtSwap) string {
	inserts := !slices.ContainsFunc(all, func(s plans.AtSwap) bool { return s.Verb() != "INSERT" })
	switch {
	case inserts && len(all) == 1:
		return "an INSERT runs into this table"
	case inserts:
		return human.Plural(len(all), "INSERT") + " run into this table"
	case len(all) == 1:
		return "one " + all[0].Verb() + " of this table runs"
	}
	return human.Plural(len(all), "statement") + " that change this table run"
}
