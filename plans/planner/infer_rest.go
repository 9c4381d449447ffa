package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// sequences lists those that the shadow has of its own.
func (m *mapping) sequences() {
	for _, s := range m.after.Sequences {
		if !m.moving(s.Name.Schema) || m.shared[s.OID] || s.Extension {
			continue
		}
		out := plans.Sequence{Shadow: m.shadowName(s.Name), Identity: s.Identity, LastValue: s.LastValue, IsCalled: s.IsCalled}
		if b := sequenceByOID(m.before, s.OID); b != nil {
			out.Production = b.Name
			if p := m.production.SequenceNamed(b.Name); m.positioned(s) {
				out.Set, out.ProductionLast, out.ProductionCalled = true, p.LastValue, p.IsCalled
			}
		}
		if t := m.final.ByOID(s.Table); t != nil {
			if c, _ := t.Column(s.Column); counts(c) {
				out.Table, out.Column = t.Name, c.Name
			}
		}
		m.plan.Sequences = append(m.plan.Sequences, out)
	}
}

// counts: a column's values may be a sequence's numbers, as those of a text that begins
// with letters are not. Types of the user's are taken for domains over numbers.
func counts(c catalog.Column) bool {
	const firstOfTheUsers = 16384
	return c.TypeOID >= firstOfTheUsers || slices.Contains([]uint32{pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.NumericOID}, c.TypeOID)
}

func sequenceByOID(c *catalog.Catalog, oid uint32) *catalog.Sequence {
	for _, s := range c.Sequences {
		if s.OID == oid {
			return s
		}
	}
	return nil
}

// views lists the materialized views to fill: those filled in production, and
// those that the migrations filled. pg_dump's order is one in which each comes
// after what it reads.
func (m *mapping) views() {
	for _, e := range m.plan.Entries {
		if e.Tag != "MATERIALIZED VIEW" {
			continue
		}
		after := m.after.ByOID(e.OID)
		if after == nil {
			continue
		}
		before, name := m.before.ByOID(e.OID), after.Name
		if before != nil {
			name = before.Name
		}
		v := plans.Matview{Shadow: m.shadowName(after.Name), Made: before == nil, Filled: after.Populated}
		filled := false // in production
		if p := m.production.ByName(name); p != nil && p.Kind == "m" {
			v.Production, filled = name, p.Populated
			v.Filled = after.Populated && (v.Made || !filled)
		}
		if after.Populated || before != nil && filled {
			m.plan.Matviews = append(m.plan.Matviews, v.Shadow)
		}
		m.plan.Views = append(m.plan.Views, v)
	}
}

// foreignKeys lists those that production does not guarantee already.
func (m *lineage) foreignKeys() {
	for _, k := range m.after.Constraints {
		t, ref := m.after.ByOID(k.Table), m.after.ByOID(k.References)
		if k.Kind != "f" || k.Parent != 0 || !k.Validated || t == nil || ref == nil || !m.moving(t.Name.Schema) || m.guaranteed(k) {
			continue
		}
		fk := plans.ForeignKey{Name: k.Name, Table: m.shadowName(t.Name), References: m.shadowName(ref.Name)}
		for i := range k.Columns {
			c, _ := t.Column(k.Columns[i])
			r, _ := ref.Column(k.RefColumns[i])
			fk.Columns, fk.RefColumns = append(fk.Columns, c.Name), append(fk.RefColumns, r.Name)
		}
		m.plan.NewFKs = append(m.plan.NewFKs, fk)
	}
}

// guaranteed: production has the same constraint, valid, by whatever name and
// oid (a change of a column's type makes it anew), and the values on both sides
// are production's own.
func (m *lineage) guaranteed(k *catalog.Constraint) bool {
	same := func(b *catalog.Constraint) bool {
		return b.Kind == "f" && b.Validated && b.Table == k.Table && b.References == k.References &&
			slices.Equal(b.Columns, k.Columns) && slices.Equal(b.RefColumns, k.RefColumns)
	}
	return slices.ContainsFunc(m.before.Constraints, same) &&
		m.asItWas(k.Table, k.Columns) && m.asItWas(k.References, k.RefColumns) && m.whole(k.References)
}

// asItWas: the columns hold production's values of the same columns.
func (m *lineage) asItWas(table uint32, columns []int16) bool {
	before, after := m.before.ByOID(table), m.after.ByOID(table)
	if before == nil || after == nil {
		return false
	}
	d := m.draft(m.after.Root(after).OID)
	if d == nil {
		return !m.moving(after.Name.Schema)
	}
	if d.plan.Feed != plans.Copied || d.source.before.OID != m.before.Root(before).OID {
		return false
	}
	for _, num := range columns {
		b, _ := before.Column(num)
		a, _ := after.Column(num)
		i := slices.IndexFunc(d.plan.Columns, func(c plans.Column) bool { return c.Shadow == a.Name })
		if i < 0 || plainReference(d.plan.Columns[i].Expression) != b.Name || !sameValues(b.Type, a.Type) {
			return false
		}
	}
	return true
}

// sameValues: what was equal before the change of type is equal after it, also
// with a column that keeps its type. Integers of all widths compare with each
// other.
func sameValues(before, after string) bool {
	integers := []string{"smallint", "integer", "bigint"}
	return before == after || slices.Contains(integers, before) && slices.Contains(integers, after)
}

func (m *lineage) whole(table uint32) bool {
	d := m.draft(table)
	return d == nil || d.plan.Where == ""
}

func (m *lineage) draft(oid uint32) *tableDraft {
	for _, d := range m.tables {
		if d.after.OID == oid {
			return d
		}
	}
	return nil
}

// dropped tells which tables and columns of production the shadow leaves out.
func (m *mapping) dropped() {
	for _, b := range m.before.Tables {
		if !m.moving(b.Name.Schema) || !b.HoldsRows() || b.IsPartition() || b.Extension || b.Name == m.version.table {
			continue
		}
		s := m.sources[b.OID]
		if s == nil || len(s.tables) == 0 {
			m.dropsTable(b)
			continue
		}
		for _, c := range b.Columns {
			if !m.columnKept(s, c) {
				m.info("column-dropped", b.Name.String()+"."+c.Name, "the upgraded structure does not hold this column's values", "")
			}
		}
	}
}

func (m *lineage) dropsTable(b *catalog.Table) {
	d := m.draft(b.OID)
	switch {
	case d != nil && d.plan.Feed == plans.Skipped:
		m.info("table-skipped", b.Name.String(), "neither copied nor captured, as the plan file says: it is empty after the upgrade", "")
	case d != nil && d.plan.Feed == plans.Derived:
	case d != nil:
		m.warning("table-emptied", b.Name.String(), "the migrations take all rows out of this table", "")
	default:
		m.info("table-dropped", b.Name.String(), "the migrations drop this table; its rows stay in the old schema until finish --drop-old", "")
	}
}

func (m *mapping) columnKept(s *sourceDraft, c catalog.Column) bool {
	if c.Generated != "" {
		return true
	}
	return slices.ContainsFunc(s.tables, func(d *tableDraft) bool {
		return slices.ContainsFunc(d.plan.Columns, func(out plans.Column) bool {
			return slices.Contains(columnsRead(out.Expression, s.before), c.Name)
		})
	})
}

// resultTypes lists the columns by which a prepared statement fails after
// the swap: "cached plan must not change result type".
func (m *lineage) resultTypes() {
	if m.plan.Remote {
		return // sessions there are new ones
	}
	for _, d := range m.tables {
		production := m.production.ByName(d.after.Name)
		if production == nil {
			continue
		}
		for _, c := range d.final.Columns {
			p, ok := production.ColumnNamed(c.Name)
			if ok && p.Type != c.Type {
				m.resultType(d.after.Name, c.Name, p.Type, m.trueType(c))
			}
		}
	}
	m.resultTypesBehind()
}

// resultTypesBehind are those of columns that nothing before the fence has changed.
func (m *lineage) resultTypesBehind() {
	if m.behind == nil || m.behind.catalog == nil {
		return
	}
	for _, t := range m.behind.catalog.Tables {
		production, built := m.production.ByName(t.Name), m.after.ByName(t.Name)
		if production == nil || built == nil || !slices.ContainsFunc(m.tables, func(d *tableDraft) bool { return d.after.Name == t.Name }) {
			continue
		}
		for _, c := range t.Columns {
			p, was := production.ColumnNamed(c.Name)
			b, there := built.ColumnNamed(c.Name)
			if was && there && b.Type == p.Type && c.Type != p.Type {
				m.resultType(t.Name, c.Name, p.Type, c.Type)
			}
		}
	}
}

func (m *lineage) resultType(table pg.Name, column, was, is string) {
	m.find(resultTypeChanges(table.String()+"."+column, was, is))
}

// leftOutOfHashes tells which columns verification does not compare.
func (m *lineage) leftOutOfHashes() {
	for _, d := range m.tables {
		var names []string
		for _, c := range d.plan.Columns {
			if (c.Volatile || c.Generated) && (d.plan.Feed == plans.Copied || d.plan.Feed == plans.Derived) {
				names = append(names, c.Shadow)
			}
		}
		if len(names) > 0 {
			m.info("not-compared", d.after.Name.String(), "verification does not compare "+strings.Join(names, ", ")+": the server computes generated columns, and values made by a default exist only in the upgraded table", "")
		}
	}
}

// trueType is a column's type by the name it has after the swap.
func (m *lineage) trueType(c catalog.Column) string {
	for _, t := range m.after.Tables {
		for _, a := range t.Columns {
			if a.TypeOID == c.TypeOID && a.Typmod == c.Typmod {
				return a.Type
			}
		}
	}
	return c.Type
}

// readTypeEquals reads the equality of each type's default btree operator class.
func (m *draft) readTypeEquals(ctx context.Context) error {
	m.typeEquals = map[uint32]string{}
	rows, err := m.scratch.db.Query(ctx, `SELECT c.opcintype, n.nspname, o.oprname
		FROM pg_opclass c
		JOIN pg_amop a ON a.amopfamily = c.opcfamily AND a.amoplefttype = c.opcintype
		              AND a.amoprighttype = c.opcintype AND a.amopstrategy = 3 AND a.amoppurpose = 's'
		JOIN pg_operator o ON o.oid = a.amopopr
		JOIN pg_namespace n ON n.oid = o.oprnamespace
		WHERE c.opcmethod = 403 AND c.opcdefault`)
	if err != nil {
		return fmt.Errorf("read equality operators: %w", err)
	}
	var oid uint32
	var schema, name string
	_, err = pgx.ForEachRow(rows, []any{&oid, &schema, &name}, func() error {
		m.typeEquals[oid] = "OPERATOR(" + pg.Ident(schema) + "." + name + ")"
		return nil
	})
	return err
}
