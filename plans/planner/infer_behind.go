package planner

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/reverse"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// What runs behind the fence is not understood, but what it makes of the structure is
// seen in scratch, and relations and columns are known by their numbers. So a table
// goes back whose rows are still told apart by the same key: by the columns that it
// still has, whatever they are called. What the migrations may write in these is said,
// and found by the proof of the old side.

// goOnBehind says what becomes of each table behind the fence.
func (m *afterFence) goOnBehind() error {
	b := m.plan.Behind
	if b == nil || m.behind == nil || !m.plan.Settings.Watch.Enabled {
		return nil
	}
	for i := range m.plan.Tables {
		t := &m.plan.Tables[i]
		if d := m.draftOf(t); t.Captured() && m.touchedBehind(d) {
			b.Tables = append(b.Tables, m.tableAfterFence(d, t))
		}
	}
	m.renamedBehind()
	m.queriesAcrossTheFence()
	b.Back = len(m.plan.Inverse().Tables) > 0
	return nil
}

// queriesAcrossTheFence drops queries of the way back over tables that migrations behind
// the fence touch: they are read and captured as they were built.
func (m *afterFence) queriesAcrossTheFence() {
	for i := range m.plan.Sources {
		s := &m.plan.Sources[i]
		if s.Back == nil {
			continue
		}
		touched := slices.IndexFunc(s.Back.Watches, func(w plans.Watch) bool { return m.plan.AfterFence(&m.plan.Tables[w.Source]) != nil })
		if touched < 0 {
			continue
		}
		name := m.plan.Tables[s.Back.Watches[touched].Source].Final
		s.Back = nil
		m.find(plans.Finding{Level: m.lossLevel(), Code: "not-reversible", Object: s.Name.String(), Where: m.namedBehind(name.Name),
			Message: "its query of reverse: reads " + name.String() + ", which migrations behind the fence change: what is written after the cutover does not come back",
			Fix:     "nothing, if there is no need to go back to it"})
	}
}

func (m *afterFence) draftOf(t *plans.Table) *tableDraft {
	return m.tables[slices.IndexFunc(m.tables, func(d *tableDraft) bool { return d.plan.Final == t.Final })]
}

// lasting is what a table is, but for whom it belongs to: stand-ins own scratch while
// migrations run there.
func lasting(t *catalog.Table) string {
	own := *t
	own.Owner = ""
	return shape(&own)
}

func (m *afterFence) tableAfterFence(d *tableDraft, t *plans.Table) plans.AfterFence {
	a := plans.AfterFence{N: t.N, Final: t.Final, Renamed: map[string]string{}, Columns: []plans.SourceColumn{}}
	if m.behind.catalog == nil {
		a.Why = "what the migrations behind the fence make of it is not known: " + m.behind.failed
		return a
	}
	now := m.behind.catalog.ByOID(d.after.OID)
	if now == nil {
		a.Why = "migrations behind the fence drop it"
		return a
	}
	a.Final = now.Name
	for _, c := range now.Columns {
		a.Columns = append(a.Columns, plans.SourceColumn{Name: c.Name, Type: c.Type, Generated: c.Generated != "", NotNull: c.NotNull})
		if was, there := d.after.Column(c.Num); there && was.TypeOID == c.TypeOID && was.Typmod == c.Typmod && was.Generated == c.Generated && m.sameType(c.TypeOID) {
			built, _ := d.final.Column(c.Num)
			a.Renamed[built.Name] = c.Name
		}
	}
	if a.Why = m.lostBehind(d, t, now, a); a.Why == "" {
		a.Reverse = m.reverseAfterFence(d, t, now, a)
		a.Writes = m.writesBehind(d, t, a)
	}
	kept := slices.Collect(maps.Values(a.Renamed))
	a.Columns = slices.DeleteFunc(a.Columns, func(c plans.SourceColumn) bool {
		return !slices.Contains(kept, c.Name) && !goesBack(a.Reverse, c.Name)
	})
	return a
}

// sameType: its values are what they were.
func (m *afterFence) sameType(oid uint32) bool {
	was, is := typeOf(m.after, oid), typeOf(m.behind.catalog, oid)
	return was == nil || is != nil && was.Definition == is.Definition && maps.Equal(was.Labels, is.Labels)
}

// lostBehind is why no row of a table goes back.
func (m *afterFence) lostBehind(d *tableDraft, t *plans.Table, now *catalog.Table, a plans.AfterFence) string {
	moved := now.Name.Schema != d.after.Name.Schema
	switch {
	case t.Feed != plans.Copied || len(t.Reverse) == 0:
		return "its rows would not go back without the migrations behind the fence either"
	case len(t.Key) == 0:
		return "it has no key, and migrations behind the fence change it"
	case moved || now.Kind != d.after.Kind || !slices.Equal(now.Parents, d.after.Parents) || now.Persistence != d.after.Persistence:
		return "migrations behind the fence make another kind of table of it"
	}
	for _, k := range t.Key {
		if _, there := a.Renamed[k.Shadow]; !there {
			return "migrations behind the fence change " + k.Shadow + ", which is of its key"
		}
	}
	if where := m.rekeyedBehind(d, t, a); where != "" {
		return where + " gives rows other keys, so that none would be found again"
	}
	if d.index == nil || !slices.ContainsFunc(m.behind.catalog.Indexes, func(i *catalog.Index) bool {
		return i.OID == d.index.OID && i.Unique && i.Valid && !i.Partial
	}) {
		return "migrations behind the fence drop the index of its key"
	}
	return ""
}

// rekeyedBehind names a statement that gives rows other values in the columns of their key:
// the old side has them by the old ones, and a change would make a second row.
func (m *afterFence) rekeyedBehind(d *tableDraft, t *plans.Table, a plans.AfterFence) string {
	for _, s := range m.readStatements() {
		for _, w := range s.effect().Updates {
			table := w.Table.GetRelname()
			if (table == d.after.Name.Name || table == a.Final.Name) && slices.ContainsFunc(t.Key, func(k plans.Pair) bool {
				return slices.Contains(w.Columns, k.Shadow) || slices.Contains(w.Columns, a.Renamed[k.Shadow])
			}) {
				return s.where
			}
		}
	}
	return ""
}

// reverseAfterFence is the way back over the row as it is then: what the plan file
// says, and what is inferred, over columns that are there still.
func (m *afterFence) reverseAfterFence(d *tableDraft, t *plans.Table, now *catalog.Table, a plans.AfterFence) []plans.Column {
	all := slices.Clone(t.Reverse)
	for i := range all {
		c := &all[i]
		if e, written := d.rules.Reverse[c.Shadow]; written && !c.Generated {
			c.Expression, c.Means, c.Origin, c.Loss = m.plan.DuringBuild(e.SQL, now.Name.Name), "", plans.FromPlan, ""
			m.refusedBehind(d, c.Shadow, e.Line)
			continue
		}
		if c.Expression == "" || c.Generated {
			continue
		}
		expression, known := m.overRenamed(d, c.Expression, a)
		if !known { // the old side keeps what it has
			c.Expression, c.Loss, c.Kept = "", "", !m.there(d, c.Shadow, now)
			continue
		}
		c.Expression = expression
	}
	return all
}

// there: the column that this one was copied to is there still, with another type.
func (m *afterFence) there(d *tableDraft, column string, now *catalog.Table) bool {
	built, _ := d.final.ColumnNamed(d.copies[column])
	_, there := now.Column(built.Num)
	return d.copies[column] == "" || there
}

// overRenamed spells an inferred expression over the columns as they are called after
// the fence. Not known: it reads one that is gone or changed, or is not simple enough to
// be spelt anew.
func (m *afterFence) overRenamed(d *tableDraft, expression string, a plans.AfterFence) (text string, known bool) {
	renamed := false
	for _, c := range d.final.Columns {
		if !slices.Contains(reverse.Words(expression), c.Name) {
			continue
		}
		now, there := a.Renamed[c.Name]
		if !there {
			return "", false
		}
		renamed = renamed || now != c.Name
	}
	name := plainReference(expression)
	switch {
	case !renamed:
		return expression, true
	case name == "":
		return "", false
	}
	return pg.Ident(a.Renamed[name]) + expression[len(pg.Ident(name)):], true
}

// refusedBehind blocks where the server does not take what the plan file says.
func (m *afterFence) refusedBehind(d *tableDraft, column string, line int) {
	table := d.source.production.Name
	if why, refused := m.behind.refused[table][column]; refused {
		m.find(plans.Finding{Level: plans.Blocker, Code: "transform-invalid", Object: table.String() + "." + column, Where: m.file.WhereLine(line),
			Message: "the server refuses the reverse expression over the row as migrations behind the fence make it: " + why,
			Fix:     "correct it under tables: " + table.String() + " reverse:"})
	}
}

// writesBehind names a statement that may write rows of the table in columns that go
// back.
func (m *afterFence) writesBehind(d *tableDraft, t *plans.Table, a plans.AfterFence) string {
	names := []string{d.after.Name.Name, a.Final.Name}
	for _, p := range m.after.Tables {
		if p.PartitionOf == d.after.OID {
			names = append(names, p.Name.Name)
		}
	}
	for _, s := range m.readStatements() {
		effect := s.effect()
		writes := effect.Table != "" && slices.Contains(names, effect.Table) && (len(effect.Columns) == 0 || m.behind.triggered[d.after.OID] ||
			slices.ContainsFunc(effect.Columns, func(c string) bool { return goesBack(a.Reverse, c) || goesBack(t.Reverse, c) }))
		if writes || effect.Opaque && slices.ContainsFunc(names, s.alone.Mentions) {
			return s.where
		}
	}
	return ""
}

// goesBack: some old column is made of this one.
func goesBack(columns []plans.Column, name string) bool {
	return slices.ContainsFunc(columns, func(c plans.Column) bool {
		return !c.Kept && slices.Contains(reverse.Words(c.Expression), name)
	})
}

// behindStatement is a statement behind the fence. Each table asks all of them, so what
// they are asked is read once.
type behindStatement struct {
	where  string
	alone  *plans.Behind // it by itself, for [plans.Behind.Mentions]
	effect func() syntax.Effect
}

func (m *afterFence) readStatements() []behindStatement {
	if m.statements != nil {
		return m.statements
	}
	for _, f := range m.plan.Behind.All() {
		for _, s := range f.Statements {
			m.statements = append(m.statements, behindStatement{
				where:  s.At(f.Name),
				alone:  &plans.Behind{Files: []plans.BehindFile{{Statements: []syntax.ScriptStatement{s}}}},
				effect: sync.OnceValue(func() syntax.Effect { return syntax.EffectOf(s.SQL) }),
			})
		}
	}
	return m.statements
}

// renamedBehind finds sequences and materialized views that go by another name, or are
// gone.
func (m *afterFence) renamedBehind() {
	note := func(shadow, now pg.Name) {
		if from := m.plan.Final(shadow); from != now {
			m.plan.Behind.Renamed = append(m.plan.Behind.Renamed, plans.Renaming{From: from, To: now})
		}
	}
	c := cmp.Or(m.behind.catalog, m.after)
	for _, s := range m.plan.Sequences {
		now := pg.Name{}
		if was := m.after.SequenceNamed(m.plan.Final(s.Shadow)); was != nil {
			if i := slices.IndexFunc(c.Sequences, func(q *catalog.Sequence) bool { return q.OID == was.OID }); i >= 0 {
				now = c.Sequences[i].Name
			}
		}
		note(s.Shadow, now)
	}
	for _, v := range m.plan.Views {
		now := pg.Name{}
		if was := m.after.ByName(m.plan.Final(v.Shadow)); was != nil && c.ByOID(was.OID) != nil {
			now = c.ByOID(was.OID).Name
		}
		note(v.Shadow, now)
	}
}

// namedBehind is the first statement behind the fence that has one of these names.
func (m *afterFence) namedBehind(names ...string) string {
	for _, s := range m.readStatements() {
		if slices.ContainsFunc(names, s.alone.Mentions) {
			return s.where
		}
	}
	return ""
}
