package planner

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/transforms"
)

// mapTables says of each table where its rows come from, column by column.
func (m *mapping) mapTables() error {
	for _, d := range m.tables {
		d.final = m.final.ByOID(d.after.OID)
		m.feedTable(d)
	}
	m.freezeTables()
	for _, d := range m.tables {
		m.carry(d)
		m.columns(d)
	}
	return nil
}

// fillTables fills the plan's tables and sources.
func (m *mapping) fillTables() error {
	m.writeTables()
	return nil
}

// fillBelongings fills in what belongs to them: indexes of ours, sequences, views,
// foreign keys, and what the upgrade drops.
func (m *mapping) fillBelongings() error {
	m.makeKeyIndexes()
	m.sequences()
	m.views()
	m.foreignKeys()
	m.dropped()
	m.resultTypes()
	m.leftOutOfHashes()
	return nil
}

// feedTable decides which kind of feed a table has.
func (m *mapping) feedTable(d *tableDraft) {
	p := &d.plan
	p.Shadow, p.Final, p.Source = d.final.Name, d.after.Name, -1
	p.Kind, p.Unlogged = m.kind(m.after, d.after), d.after.Persistence == "u"
	p.Columns, p.Key, p.Reverse = []plans.Column{}, []plans.Pair{}, []plans.Column{}
	switch {
	case d.after.Name == m.version.table:
		p.Feed = plans.Version
	case d.ruled && d.rules.Skip:
		p.Feed = plans.Skipped
	case d.ruled && d.rules.From.SQL != "":
		p.Feed, p.From = plans.Derived, strings.TrimRight(strings.TrimSpace(d.rules.From.SQL), ";")
	case d.fed && d.feed.Source != 0 && !d.feed.Empty:
		p.Feed, p.Where = plans.Copied, d.feed.Where
		if d.ruled && d.rules.Where.SQL != "" {
			p.Where = d.rules.Where.SQL
		}
		d.source = m.source(d.feed.Source)
		d.source.tables = append(d.source.tables, d)
		p.Production = d.source.production.Name
	default:
		p.Feed = plans.Carried
	}
}

func (m *mapping) kind(c *catalog.Catalog, t *catalog.Table) plans.Kind {
	switch {
	case t.Kind == "p":
		return plans.Partitioned
	case len(t.Parents) > 0 || slices.ContainsFunc(c.Tables, func(k *catalog.Table) bool { return slices.Contains(k.Parents, t.OID) }):
		return plans.Inherited
	}
	return plans.Plain
}

// source finds or makes the draft of a production table, a partition's tree as
// a whole.
func (m *mapping) source(oid uint32) *sourceDraft {
	before := m.before.Root(m.before.ByOID(oid))
	if s := m.sources[before.OID]; s != nil {
		return s
	}
	s := &sourceDraft{before: before, production: m.production.ByName(before.Name)}
	m.sources[before.OID] = s
	return s
}

// freezeTables marks tables whose writes are refused; some feed nothing.
func (m *mapping) freezeTables() {
	for _, r := range m.file.Tables {
		if b := m.before.ByName(r.Name); r.Freeze && b != nil {
			m.source(b.OID).frozen = true
		}
	}
}

// leftRows are the rows that the migrations left of a table in scratch.
type leftRows struct {
	text  string // as COPY writes them, generated columns left out
	count int64
}

// readRows reads them under the true names.
func (m *trial) readRows(ctx context.Context) error {
	m.rows = map[uint32]leftRows{}
	for _, t := range m.after.Tables {
		if !m.moving(t.Name.Schema) || !t.HoldsRows() || t.IsPartition() || t.Extension || t.Name == m.version.table {
			continue
		}
		var names []string
		for _, c := range t.Columns {
			if c.Generated == "" {
				names = append(names, c.Name)
			}
		}
		var rows bytes.Buffer
		count, err := copyLeft(ctx, m.scratch.db, &rows, t, names, m.session.Path)
		if err != nil {
			return fmt.Errorf("read rows of %s in scratch: %w", t.Name, err)
		}
		if count > 0 {
			m.rows[t.OID] = leftRows{text: m.scratch.unmask(rows.String()), count: count}
		}
	}
	return nil
}

// copyLeft sends a table's own rows, all of a partition tree's. Planning a query looks into
// the functions that expressions of indexes and partition keys call, and these name others
// as their search_path has it; COPY of a table by its name plans nothing.
func copyLeft(ctx context.Context, db *pgx.Conn, to io.Writer, t *catalog.Table, columns []string, path string) (count int64, err error) {
	if t.Kind != "p" && len(columns) > 0 {
		tag, err := db.PgConn().CopyTo(ctx, to, "COPY "+t.Name.Quoted()+" ("+pg.Idents(columns)+") TO STDOUT")
		return tag.RowsAffected(), err
	}
	only := map[bool]string{false: "ONLY "}[t.Kind == "p"]
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_catalog.set_config('search_path', $1, true)", path); err != nil {
			return err
		}
		tag, err := tx.Conn().PgConn().CopyTo(ctx, to, "COPY (SELECT "+pg.Idents(columns)+" FROM "+only+t.Name.Quoted()+") TO STDOUT")
		count = tag.RowsAffected()
		return err
	})
	return count, err
}

// carry takes the rows that the migrations left in scratch along.
func (m *mapping) carry(d *tableDraft) {
	left := m.rows[d.after.OID]
	switch {
	case left.count == 0:
	case d.plan.Feed == plans.Carried:
		d.plan.CarriedRows = left.text
	case d.plan.Feed == plans.Copied && !m.blamed(d.after.Name):
		m.opaque("rows-inserted", d.after.Name.String(), m.naming(d.after.Name.Name, "insert"), fmt.Sprintf("the migrations insert %d rows into this table, which production has rows of", left.count),
			"derive the table: write under tables: "+d.after.Name.String()+" a from: that unites production's rows with the new ones, and key:")
	}
}

// blamed: some statement was named already that changes the table's rows.
func (m *mapping) blamed(n pg.Name) bool {
	return slices.ContainsFunc(m.plan.Findings, func(f plans.Finding) bool {
		return f.Code == transforms.CodeBackfill && (f.Object == n.String() || strings.HasPrefix(f.Object, n.String()+"."))
	})
}

// columns says what each column is filled with.
func (m *mapping) columns(d *tableDraft) {
	for name, e := range d.rules.Columns {
		if _, ok := d.final.ColumnNamed(name); !ok {
			m.find(plans.Finding{Level: plans.Blocker, Code: "transform-invalid", Object: d.after.Name.String() + "." + name, Where: m.file.WhereLine(e.Line),
				Message: "the upgraded table has no such column", Fix: "correct the name under columns:"})
		}
	}
	for _, c := range d.final.Columns {
		d.plan.Columns = append(d.plan.Columns, m.column(d, c))
	}
}

func (m *mapping) column(d *tableDraft, c catalog.Column) plans.Column {
	out := plans.Column{Shadow: c.Name, Type: c.Type, Generated: c.Generated != "", Identity: c.Identity != "", Origin: plans.FromLineage}
	if out.Generated {
		return out
	}
	switch d.plan.Feed {
	case plans.Derived:
		out.Expression, out.Origin = pg.Ident(c.Name), plans.FromPlan
	case plans.Copied:
		if e, ok := d.rules.Columns[c.Name]; ok {
			out.Expression, out.Origin = e.SQL, plans.FromPlan
			return out
		}
		e, ok := d.feed.Columns[c.Num]
		if !ok {
			out.Expression = "NULL" // a blocker concerns it
			return out
		}
		out.Expression, out.Origin, out.Volatile, out.Looks = e.SQL, columnOrigin(e.Origin), e.Volatile, e.Looks
		if out.Volatile {
			out.Expression = ""
		}
	}
	return out
}

func columnOrigin(o transforms.Origin) plans.ColumnOrigin {
	return map[transforms.Origin]plans.ColumnOrigin{transforms.Using: plans.FromUsing, transforms.Backfill: plans.FromBackfill, transforms.Default: plans.FromDefault, transforms.Lineage: plans.FromLineage}[o]
}

// writeTables numbers the tables in the order of their names.
func (m *lineage) writeTables() {
	slices.SortFunc(m.tables, func(a, b *tableDraft) int {
		return strings.Compare(a.plan.Shadow.Quoted(), b.plan.Shadow.Quoted())
	})
	for i, d := range m.tables {
		d.plan.N = i
		m.plan.Tables = append(m.plan.Tables, d.plan)
	}
}
