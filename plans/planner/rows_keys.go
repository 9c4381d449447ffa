package planner

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// lookAround reads what choosing rows goes by: sizes, kinds of types, indexes,
// foreign keys.
func (d *drawing) lookAround(ctx context.Context) error {
	oids := slices.Sorted(maps.Keys(d.tables))
	rows, err := d.tx.Query(ctx, `SELECT o, coalesce(pg_relation_size(o) / current_setting('block_size')::bigint, 0) FROM unnest($1::oid[]) AS o`, oids)
	if err != nil {
		return err
	}
	var table uint32
	var blocks int64
	if _, err := pgx.ForEachRow(rows, []any{&table, &blocks}, func() error {
		d.tables[table].blocks = blocks
		return nil
	}); err != nil {
		return err
	}
	if err := d.readKinds(ctx, oids); err != nil {
		return err
	}
	return d.readKeys(ctx, oids)
}

func (d *drawing) readKinds(ctx context.Context, oids []uint32) error {
	d.sorts, d.leads = map[uint32]string{}, map[uint32][]string{}
	rows, err := d.tx.Query(ctx, `SELECT DISTINCT t.oid, t.typcategory::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = ANY ($1::oid[])`, oids)
	if err != nil {
		return err
	}
	var oid uint32
	var text string
	if _, err := pgx.ForEachRow(rows, []any{&oid, &text}, func() error {
		d.sorts[oid] = text
		return nil
	}); err != nil {
		return err
	}
	rows, err = d.tx.Query(ctx, `SELECT DISTINCT i.indrelid, a.attname::text FROM pg_index i
		JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		JOIN pg_opclass o ON o.oid = i.indclass[0] AND o.opcdefault
		WHERE i.indrelid = ANY ($1::oid[]) AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] > 0 AND i.indcollation[0] = a.attcollation ORDER BY 1, 2`, oids)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, []any{&oid, &text}, func() error {
		d.leads[oid] = append(d.leads[oid], text)
		return nil
	})
	return err
}

// readKeys reads the foreign keys that leave the tables, each of a partition tree
// once.
func (d *drawing) readKeys(ctx context.Context, oids []uint32) error {
	roots := slices.Clone(oids)
	for _, oid := range oids {
		for t := d.look.ByOID(oid); len(t.Parents) > 0 && t.PartitionOf != 0; { // middle levels, too
			if t = d.look.ByOID(t.Parents[0]); t == nil {
				break
			}
			roots = append(roots, t.OID)
		}
	}
	rows, err := d.tx.Query(ctx, `SELECT k.conname::text, k.conrelid, k.confrelid, k.convalidated,
			ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u (num, n) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.n),
			ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u (num, n) JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.n),
			ARRAY(SELECT format('OPERATOR(%I.%s)', s.nspname, o.oprname) FROM unnest(k.conpfeqop) WITH ORDINALITY u (op, n) JOIN pg_operator o ON o.oid = u.op
				JOIN pg_namespace s ON s.oid = o.oprnamespace ORDER BY u.n)
		FROM pg_constraint k WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = ANY ($1::oid[]) ORDER BY k.oid`, roots)
	if err != nil {
		return err
	}
	var k rowKey
	var child, parent uint32
	_, err = pgx.ForEachRow(rows, []any{&k.name, &child, &parent, &k.valid, &k.columns, &k.refColumns, &k.operators}, func() error {
		k.child, k.parent = d.look.ByOID(child), d.look.ByOID(parent)
		if k.child != nil && k.parent != nil {
			d.keys = append(d.keys, k)
		}
		k.columns, k.refColumns, k.operators = nil, nil, nil
		return nil
	})
	return err
}

// leaves are the tables that hold a relation's rows.
func (d *drawing) leaves(t *catalog.Table) []*catalog.Table {
	if t.Kind != "p" {
		return []*catalog.Table{t}
	}
	var all []*catalog.Table
	for _, l := range d.look.Tables {
		if l.Kind == "r" && l.PartitionOf != 0 && (l.PartitionOf == t.OID || l.PartitionOf == t.PartitionOf) {
			all = append(all, l)
		}
	}
	return all
}

// close adds the rows that chosen ones refer to, until none is missing.
func (d *drawing) close(ctx context.Context) error {
	news := map[uint32][]string{}
	for oid, t := range d.tables {
		news[oid] = slices.Sorted(maps.Keys(t.tids))
	}
	for len(news) > 0 {
		next := map[uint32][]string{}
		for i := range d.keys {
			for _, leaf := range d.leaves(d.keys[i].child) {
				if len(news[leaf.OID]) == 0 {
					continue
				}
				if err := d.parents(ctx, &d.keys[i], leaf, news[leaf.OID], next); err != nil {
					return err
				}
			}
		}
		news = next
	}
	return nil
}

// parents adds the rows that some rows of a leaf refer to.
func (d *drawing) parents(ctx context.Context, k *rowKey, leaf *catalog.Table, tids []string, next map[uint32][]string) error {
	type place struct {
		table uint32
		tid   string
		size  int64
	}
	var found []place
	child := d.tables[leaf.OID]
	err := d.attempt(ctx, child, func(ctx context.Context, tx pgx.Tx, _ *drawn) error {
		// An estimate of rows may be far off, and a join by hashing reads all of them.
		if _, err := tx.Exec(ctx, "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, k.parentsSQL(leaf), tids)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p place, err error) { return p, row.Scan(&p.table, &p.tid, &p.size) })
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range found {
		t := d.tables[p.table]
		if t == nil {
			if t = (&drawn{table: d.look.ByOID(p.table), tids: map[string]bool{}}); t.table == nil || t.table.Kind != "r" {
				continue
			}
			d.tables[p.table] = t
			if err := d.readMore(ctx, t); err != nil {
				return err
			}
		}
		if d.keep(t, p.tid, p.size) {
			next[p.table] = append(next[p.table], p.tid)
		}
	}
	return nil
}

// readMore: a table outside of what moves, which is referred to, has foreign keys
// of its own.
func (d *drawing) readMore(ctx context.Context, t *drawn) error {
	return d.readKeys(ctx, []uint32{t.table.OID})
}

func (k *rowKey) parentsSQL(leaf *catalog.Table) string {
	return fmt.Sprintf("SELECT DISTINCT p.tableoid, p.ctid::text, %s FROM ONLY %s AS c JOIN %s AS p ON %s WHERE c.ctid = ANY ($1::text[]::tid[])",
		storedSize(k.parent, "p."), leaf.Name.Quoted(), ownRows(k.parent.Name, k.parent.Kind == "p"), k.joined())
}

// joined is the condition that row c of the child refers to row p of the parent.
func (k *rowKey) joined() string {
	var on []string
	for i := range k.columns {
		on = append(on, "p."+pg.Ident(k.refColumns[i])+" "+k.operators[i]+" c."+pg.Ident(k.columns[i]))
	}
	return strings.Join(on, " AND ")
}

// ownRows is a table in FROM without those that inherit from it; a partition tree
// is one table.
func ownRows(table pg.Name, partitioned bool) string {
	if partitioned {
		return table.Quoted()
	}
	return "ONLY " + table.Quoted()
}

// orphansSQL deletes rows whose reference leads nowhere, in a copy of the sample.
func (k *rowKey) orphansSQL() string {
	return fmt.Sprintf("DELETE FROM %s AS c WHERE %s AND NOT EXISTS (SELECT FROM %s AS p WHERE %s)",
		ownRows(k.child.Name, k.child.Kind == "p"), allNotNull("c.", k.columns), ownRows(k.parent.Name, k.parent.Kind == "p"), k.joined())
}

// keysMade are the foreign keys that the migrations make, over columns of
// production's. open: those whose rows cannot be brought together.
func (m *mapping) keysMade() (made []rowKey, open map[string]bool) {
	open = map[string]bool{}
	known := map[uint32]bool{}
	for _, k := range m.before.Constraints {
		known[k.OID] = true
	}
	for _, k := range m.after.Constraints {
		if k.Kind != "f" || k.Parent != 0 || known[k.OID] {
			continue
		}
		key, ok := m.keyBefore(k)
		switch {
		case ok:
			made = append(made, key)
		case m.needsParents(k):
			open[k.Name] = true
		}
	}
	return made, open
}

// needsParents: rows of production's come into the child, and may refer to others
// than the migrations' own.
func (m *lineage) needsParents(k *catalog.Constraint) bool {
	parent, child := m.after.ByOID(k.References), m.after.ByOID(k.Table)
	if parent == nil || child == nil {
		return true
	}
	d := m.draft(m.after.Root(parent).OID)
	return d == nil || d.plan.Feed != plans.Carried
}

// keyBefore is a foreign key in terms of production's columns.
func (m *mapping) keyBefore(k *catalog.Constraint) (out rowKey, ok bool) {
	child, parent := m.after.ByOID(k.Table), m.after.ByOID(k.References)
	if child == nil || parent == nil {
		return out, false
	}
	out = rowKey{name: k.Name, made: true}
	for i := range k.Columns {
		c, p := m.columnBefore(child, k.Columns[i]), m.columnBefore(parent, k.RefColumns[i])
		if c.table == nil || p.table == nil || i > 0 && (c.table != out.child || p.table != out.parent) {
			return out, false
		}
		out.child, out.parent = c.table, p.table
		out.columns, out.refColumns = append(out.columns, c.column.Name), append(out.refColumns, p.column.Name)
		equals := "OPERATOR(pg_catalog.=)"
		if a, _ := parent.Column(k.RefColumns[i]); c.column.Type == p.column.Type && a.Type == p.column.Type && m.typeEquals[a.TypeOID] != "" {
			equals = m.typeEquals[a.TypeOID]
		}
		out.operators = append(out.operators, equals)
	}
	return out, true
}

// ownColumn is a column of production's.
type ownColumn struct {
	table  *catalog.Table
	column catalog.Column
}

// columnBefore is the column of production's that a column of the final structure
// is a copy of, cast at the most; zero: none.
func (m *lineage) columnBefore(t *catalog.Table, num int16) ownColumn {
	a, _ := t.Column(num)
	d := m.draft(m.after.Root(t).OID)
	if d == nil {
		p := m.production.ByName(t.Name)
		if m.moving(t.Name.Schema) || p == nil {
			return ownColumn{}
		}
		c, _ := p.ColumnNamed(a.Name)
		return ownColumn{p, c}
	}
	if d.plan.Feed != plans.Copied || d.source == nil {
		return ownColumn{}
	}
	i := slices.IndexFunc(d.plan.Columns, func(c plans.Column) bool { return c.Shadow == a.Name })
	if i < 0 {
		return ownColumn{}
	}
	c, ok := d.source.production.ColumnNamed(plainReference(d.plan.Columns[i].Meaning()))
	if !ok {
		return ownColumn{}
	}
	return ownColumn{d.source.production, c}
}
