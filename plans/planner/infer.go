package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/transforms"
)

// tableDraft is a table of the shadow on its way into the plan.
type tableDraft struct {
	after  *catalog.Table // under its true name
	final  *catalog.Table // under the shadow's
	rules  planfile.TableRules
	ruled  bool
	feed   transforms.TableFeed
	fed    bool // feed says where rows come from
	source *sourceDraft
	plan   plans.Table
	index  *catalog.Index // in final, that serves the key
	// makesKey: none does, and one is made for the run
	makesKey bool
	// copies are, by column of production, the shadow's columns that are copies of
	// it, cast at the most; on the way back.
	copies map[string]string
	// onTheWayThere are columns of production of which a value may come back otherwise
	// because the upgraded table holds it otherwise: each value of that one comes back.
	onTheWayThere map[string]bool
}

// sourceDraft is a production table on its way into the plan.
type sourceDraft struct {
	before     *catalog.Table // in scratch
	production *catalog.Table
	tables     []*tableDraft // copied from it
	tracked    []string
	frozen     bool
	index      *catalog.Index // in production, that tells rows apart
	plan       plans.Source
}

func (m *trial) readTrace(ctx context.Context) (err error) {
	if m.trace.marks, err = syntax.ReadMarks(ctx, m.scratch.db); err != nil {
		return err
	}
	_, err = m.scratch.db.Exec(ctx, "DROP SCHEMA "+pg.Ident(syntax.TraceSchema)+" CASCADE")
	return err
}

// inferTables decides for each table of the shadow where its rows come from.
func (m *lineage) inferTables() error {
	now, err := time.Parse(time.RFC3339Nano, m.plan.StartedAt)
	if err != nil {
		return err
	}
	inference := transforms.Infer(m.before, m.after, m.trace.facts, m.trace.marks, transforms.Options{
		Now: now, Type: m.spellType, Changed: m.changedType, Altered: m.alteredType, Statements: m.trace.places, Function: m.spellFunction})
	m.orphans = inference.Orphans
	m.mayDefer(inference.Deferrable)
	m.sees = inference.Sees
	m.tellDeferred(inference.Deferred)
	for _, t := range m.after.Tables {
		if m.moving(t.Name.Schema) && t.HoldsRows() && !t.IsPartition() && !t.Extension {
			d := &tableDraft{after: t}
			d.feed, d.fed = inference.Tables[t.OID]
			m.tables = append(m.tables, d)
		}
	}
	m.lookUpRules()
	for _, n := range inference.Notices {
		if !m.void(n) {
			m.find(finding(n))
		}
	}
	m.changesOutside()
	return nil
}

// spellType spells a type for expressions that run in production while the
// shadow stands beside it.
func (m *lineage) spellType(oid uint32) (string, bool) {
	for _, t := range m.after.Types {
		if t.OID == oid {
			return m.spell(t.Name, oid, t.Extension), true
		}
	}
	for _, t := range m.after.Tables {
		if t.RowType == oid {
			return m.spell(t.Name, oid, t.Extension), true
		}
	}
	return "", false
}

func (m *lineage) spell(n pg.Name, oid uint32, extension bool) string {
	if extension || m.shared[oid] {
		return n.Quoted()
	}
	return m.shadowName(n).Quoted()
}

// changedType: production and shadow both have it, but not the same one.
func (m *lineage) changedType(oid uint32) bool {
	i := slices.IndexFunc(m.after.Types, func(t *catalog.Type) bool { return t.OID == oid })
	if i >= 0 {
		t := m.after.Types[i]
		return m.moving(t.Name.Schema) && !t.Extension && !m.shared[oid]
	}
	t := slices.IndexFunc(m.after.Tables, func(t *catalog.Table) bool { return t.RowType == oid })
	return t >= 0 && m.moving(m.after.Tables[t].Name.Schema)
}

func (m *lineage) spellFunction(oid uint32) (string, bool) {
	for _, f := range m.after.Functions {
		if f.OID == oid {
			return m.spell(f.Name, oid, f.Extension), true
		}
	}
	return "", false
}

// lookUpRules finds what the plan file says about each table: by the name in
// production of what it is copied from, or by its own.
func (m *lineage) lookUpRules() {
	used := map[pg.Name]bool{}
	for _, d := range m.tables {
		names := []pg.Name{d.after.Name}
		if b := m.before.ByOID(d.feed.Source); d.fed && b != nil && m.feeds(d.feed.Source) == 1 {
			names = []pg.Name{b.Name, d.after.Name}
		}
		for _, n := range names {
			if r, ok := m.file.Table(n); ok && !d.ruled {
				d.rules, d.ruled, used[n] = r, true, true
			}
		}
	}
	for _, r := range m.file.Tables {
		ofProduction := r.Freeze || r.ReverseFrom.SQL != "" || len(r.Generate) > 0 || len(r.Mask) > 0
		if used[r.Name] || ofProduction && m.before.ByName(r.Name) != nil {
			continue
		}
		m.find(plans.Finding{Level: plans.Blocker, Code: "table-unknown", Object: r.Name.String(), Where: m.file.WhereLine(r.Line),
			Message: "neither production nor the upgraded structure has a table of this name with rows to copy", Fix: "correct the name under tables:"})
	}
}

func (m *lineage) feeds(source uint32) int {
	n := 0
	for _, d := range m.tables {
		if d.fed && d.feed.Source == source {
			n++
		}
	}
	return n
}

// void: the plan file describes by hand what a notice is about.
func (m *lineage) void(n syntax.Notice) bool {
	i := slices.IndexFunc(m.tables, func(d *tableDraft) bool { return n.Table != 0 && d.after.OID == n.Table })
	if i < 0 || !m.tables[i].ruled {
		return false
	}
	d := m.tables[i]
	if d.rules.Skip || d.rules.From.SQL != "" {
		return true
	}
	if len(n.Columns) == 0 {
		return d.rules.Where.SQL != ""
	}
	return !slices.ContainsFunc(n.Columns, func(num int16) bool {
		c, _ := d.after.Column(num)
		_, written := d.rules.Columns[c.Name]
		return !written
	})
}

// changesOutside finds what the migrations changed in schemas that do not move:
// the shadow holds none of it, so it would be lost.
func (m *lineage) changesOutside() {
	for _, s := range m.after.Schemas {
		if _, there := m.before.Schema(s.Name); !there && !m.moving(s.Name) {
			m.opaque("outside-change", s.Name, m.naming(s.Name, "schema"), "the migrations make this schema, which production.schemas does not name",
				"make the schema in production (CREATE SCHEMA "+pg.Ident(s.Name)+";) and add it to production.schemas")
		}
	}
	for _, t := range m.after.Tables {
		b := m.before.ByOID(t.OID)
		switch {
		case m.moving(t.Name.Schema) || t.Name == m.version.table || t.Extension:
			if b != nil && b.Name.Schema != t.Name.Schema && !m.moving(b.Name.Schema) {
				m.outsideChange(b.Name, "move it into "+t.Name.Schema)
			}
		case b == nil:
			m.outsideChange(t.Name, "make it")
		case shape(b) != shape(t):
			m.outsideChange(t.Name, "change it")
		}
	}
	for _, b := range m.before.Tables {
		if m.after.ByOID(b.OID) == nil && !m.moving(b.Name.Schema) && !b.Extension {
			m.outsideChange(b.Name, "drop it")
		}
	}
	m.compareOutside(m.describeOutside(m.before), m.describeOutside(m.after))
}

// describeOutside lists functions, types and sequences of schemas that do not
// move.
func (m *lineage) describeOutside(c *catalog.Catalog) map[pg.Name]string {
	all := map[pg.Name]string{}
	for _, f := range c.Functions {
		if !m.moving(f.Name.Schema) {
			all[pg.Name{Schema: f.Name.Schema, Name: f.Name.Name + f.Arguments}] = f.Definition
		}
	}
	for _, t := range c.Types {
		if !m.moving(t.Name.Schema) && !t.Extension {
			all[t.Name] = t.Kind + t.Definition
		}
	}
	for _, s := range c.Sequences {
		if !m.moving(s.Name.Schema) && !s.Extension {
			all[s.Name] = s.Definition
		}
	}
	return all
}

func (m *lineage) compareOutside(before, after map[pg.Name]string) {
	for n, definition := range after {
		if was, there := before[n]; !there {
			m.outsideChange(n, "make it")
		} else if was != definition {
			m.outsideChange(n, "change it")
		}
	}
	for n := range before {
		if _, there := after[n]; !there {
			m.outsideChange(n, "drop it")
		}
	}
}

// nameOnly takes a function's arguments off.
func nameOnly(name string) string {
	name, _, _ = strings.Cut(name, "(")
	return name
}

func (m *lineage) outsideChange(n pg.Name, what string) {
	m.opaque("outside-change", n.String(), m.naming(nameOnly(n.Name)), fmt.Sprintf("the migrations %s, but schema %s is not in production.schemas", what, n.Schema),
		"add "+n.Schema+" to production.schemas")
}

func shape(t *catalog.Table) string {
	var b strings.Builder
	fmt.Fprint(&b, t.Name, t.Kind, t.Persistence, t.Owner, t.Parents, t.RowSecurity, t.ForceRLS, t.Bound, t.Definition)
	for _, c := range t.Columns {
		fmt.Fprint(&b, c.Num, c.Name, c.Type, c.NotNull, c.Default, c.Identity, c.Generated)
	}
	return b.String()
}
