package capture

import (
	"context"
	_ "embed" // the queries
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

var (
	//go:embed locate/columns.sql
	locateColumnsSQL string
	//go:embed locate/members.sql
	locateMembersSQL string
	//go:embed locate/ancestors.sql
	locateAncestorsSQL string
	//go:embed locate/indexes.sql
	locateIndexesSQL string
	//go:embed locate/keys.sql
	locateKeysSQL string
)

// Locate fills in a way back what [plans.Plan.Inverse] cannot know: the relations
// behind its sources (in the database source) and tables (in target), the names
// that types have now, how the old tables can be written, and which of their
// foreign keys the new ones do not guarantee. To be called after the swap. Reads catalogs only.
func Locate(ctx context.Context, source, target *pgxpool.Pool, back *plans.Plan) error {
	var here, there located
	err := inCatalogs(ctx, source, func(tx pgx.Tx) (err error) {
		if here, err = locate(ctx, tx, sourceNames(back)); err != nil {
			return err
		}
		for i := range back.Tables {
			for _, n := range feeding(&back.Tables[i]) {
				if err := here.has(back.Sources[n].Name); err != nil {
					return err
				}
			}
		}
		return here.fillSources(ctx, tx, back)
	})
	if err != nil {
		return fmt.Errorf("look up the new tables: %w", err)
	}
	err = inCatalogs(ctx, target, func(tx pgx.Tx) (err error) {
		if there, err = locate(ctx, tx, tableNames(back)); err != nil {
			return err
		}
		for i := range back.Tables {
			if err := there.has(back.Tables[i].Shadow); err != nil {
				return err
			}
		}
		return there.fillTables(ctx, tx, back)
	})
	if err != nil {
		return fmt.Errorf("look up the old tables: %w", err)
	}
	back.NewFKs = unguaranteed(back, there.keys, here.keys)
	if source != target {
		sendAsText(back)
	}
	return nil
}

// feeding are the sources that a table of a way back is made of.
func feeding(t *plans.Table) (all []int) {
	if t.Feed == plans.Copied {
		return []int{t.Source}
	}
	for _, w := range t.Watches {
		all = append(all, w.Source)
	}
	return all
}

// sendAsText: what the schemas' own types are called on the old side may be another
// type on the new one, or none. Values go as text, which the old side reads.
func sendAsText(back *plans.Plan) {
	for i := range back.Tables {
		t := &back.Tables[i]
		for j := range t.Columns {
			if c := &t.Columns[j]; strings.Contains(c.Type, ".") {
				c.AsText, c.Expression = true, plans.Retype(c.Expression, c.Type, "text")
			}
		}
	}
}

// inCatalogs lets types be named with their schemas.
func inCatalogs(ctx context.Context, pool *pgxpool.Pool, f func(pgx.Tx) error) error {
	return pg.ReadCommitted(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = pg_catalog"); err != nil {
			return err
		}
		return f(tx)
	})
}

func sourceNames(back *plans.Plan) (names []pg.Name) {
	for i := range back.Sources {
		names = append(names, back.Sources[i].Name)
	}
	return names
}

func tableNames(back *plans.Plan) (names []pg.Name) {
	for i := range back.Tables {
		names = append(names, back.Tables[i].Shadow)
	}
	return names
}

// located are relations as the catalogs of one side have them.
type located struct {
	oids    map[pg.Name]uint32
	columns map[pg.Name][]locatedColumn
	keys    []locatedKey
}

type locatedColumn struct {
	name, typ, collation         string
	generated, identity, notNull bool
	demanding                    bool // a row without a value for it may be refused
}

// locatedKey is a foreign key.
type locatedKey struct {
	plans.ForeignKey
	valid bool
}

func (l located) has(table pg.Name) error {
	if l.oids[table] == 0 {
		return fmt.Errorf("%w: %s is not there any more", ErrChanged, table)
	}
	return nil
}

func (l located) all() []uint32 {
	var all []uint32
	for _, oid := range l.oids {
		all = append(all, oid)
	}
	slices.Sort(all)
	return all
}

func (l located) column(table pg.Name, name string) (locatedColumn, bool) {
	i := slices.IndexFunc(l.columns[table], func(c locatedColumn) bool { return c.name == name })
	if i < 0 {
		return locatedColumn{}, false
	}
	return l.columns[table][i], true
}

// locate reads columns and foreign keys. Relations that are not there are missing.
func locate(ctx context.Context, tx pgx.Tx, names []pg.Name) (located, error) {
	l := located{oids: map[pg.Name]uint32{}, columns: map[pg.Name][]locatedColumn{}}
	var schemas, tables []string
	for _, n := range names {
		schemas, tables = append(schemas, n.Schema), append(tables, n.Name)
	}
	rows, err := tx.Query(ctx, locateColumnsSQL, schemas, tables)
	if err != nil {
		return l, err
	}
	var oid uint32
	var n pg.Name
	var c locatedColumn
	_, err = pgx.ForEachRow(rows, []any{&oid, &n.Schema, &n.Name, &c.name, &c.typ, &c.collation, &c.generated, &c.identity, &c.notNull, &c.demanding}, func() error {
		l.oids[n] = oid
		l.columns[n] = append(l.columns[n], c)
		return nil
	})
	if err != nil {
		return l, err
	}
	if rows, err = tx.Query(ctx, locateKeysSQL, l.all()); err != nil {
		return l, err
	}
	l.keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (locatedKey, error) {
		var k locatedKey
		err := row.Scan(&k.Name, &k.Table.Schema, &k.Table.Name, &k.Columns, &k.References.Schema, &k.References.Name, &k.RefColumns, &k.valid)
		return k, err
	})
	return l, err
}

func (l located) fillSources(ctx context.Context, tx pgx.Tx, back *plans.Plan) error {
	byOID := map[uint32]*plans.Source{}
	for i := range back.Sources {
		s := &back.Sources[i]
		s.OID = l.oids[s.Name]
		byOID[s.OID] = s
		s.Columns = nil
		for _, c := range l.columns[s.Name] {
			s.Columns = append(s.Columns, plans.SourceColumn{Name: c.name, Type: c.typ, Generated: c.generated, NotNull: c.notNull})
		}
		for k := range s.Key {
			if c, ok := l.column(s.Name, s.Key[k].Name); ok {
				s.Key[k].Type, s.Key[k].Collation = c.typ, c.collation
			}
		}
	}
	if err := fillMembers(ctx, tx, l.all(), byOID); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, locateAncestorsSQL, l.all())
	if err != nil {
		return err
	}
	var child, parent uint32
	_, err = pgx.ForEachRow(rows, []any{&child, &parent}, func() error {
		byOID[child].Ancestors = append(byOID[child].Ancestors, byOID[parent].N)
		return nil
	})
	return err
}

func fillMembers(ctx context.Context, tx pgx.Tx, oids []uint32, sources map[uint32]*plans.Source) error {
	rows, err := tx.Query(ctx, locateMembersSQL, oids)
	if err != nil {
		return err
	}
	var root uint32
	var m plans.Member
	_, err = pgx.ForEachRow(rows, []any{&root, &m.OID, &m.Name.Schema, &m.Name.Name, &m.Leaf}, func() error {
		sources[root].Members = append(sources[root].Members, m)
		return nil
	})
	return err
}

func (l located) fillTables(ctx context.Context, tx pgx.Tx, back *plans.Plan) error {
	byOID := map[uint32]*plans.Table{}
	for i := range back.Tables {
		t := &back.Tables[i]
		byOID[l.oids[t.Shadow]] = t
		for j := range t.Columns {
			c := &t.Columns[j]
			if now, ok := l.column(t.Shadow, c.Shadow); ok {
				c.Expression, c.Type = plans.Retype(c.Expression, c.Type, now.typ), now.typ
				c.Generated, c.Identity = now.generated, now.identity
			}
		}
		for j := range t.Key {
			k := &t.Key[j]
			if now, ok := l.column(t.Shadow, k.Shadow); ok {
				k.Expression, k.Type = plans.Retype(k.Expression, k.Type, now.typ), now.typ
			}
		}
	}
	rows, err := tx.Query(ctx, locateIndexesSQL, l.all())
	if err != nil {
		return err
	}
	var oid uint32
	var sole, upsert bool
	_, err = pgx.ForEachRow(rows, []any{&oid, &sole, &upsert}, func() error {
		if t := byOID[oid]; len(t.Key) > 0 {
			t.SoleKey, t.Upsert = sole, upsert && !l.refusesNew(t)
		}
		return nil
	})
	return err
}

// refusesNew: an old column that the new table gives nothing for keeps its value in rows
// that are there, but INSERT … ON CONFLICT asks NOT NULL and CHECKs of the row that it
// would insert first, and fails. Such a table's rows are deleted and inserted with what
// they had.
func (l located) refusesNew(t *plans.Table) bool {
	return slices.ContainsFunc(t.Columns, func(c plans.Column) bool {
		now, ok := l.column(t.Shadow, c.Shadow)
		return ok && now.demanding && c.Volatile && c.Expression == ""
	})
}

// unguaranteed are the old side's foreign keys that nobody checks while the new
// tables are written: those without a valid twin there, and those to a table in which
// rows of the new one may be missing.
func unguaranteed(back *plans.Plan, old, now []locatedKey) []plans.ForeignKey {
	var all []plans.ForeignKey
	for _, k := range old {
		table, columns, ok := back.CarriedFrom(k.Table, k.Columns)
		references, referenced, okToo := back.CarriedFrom(k.References, k.RefColumns)
		guaranteed := ok && okToo && !lacks(back, k.References) && slices.ContainsFunc(now, func(n locatedKey) bool {
			return n.valid && n.Table == table && n.References == references && slices.Equal(n.Columns, columns) && slices.Equal(n.RefColumns, referenced)
		})
		if k.valid && !guaranteed {
			all = append(all, k.ForeignKey)
		}
	}
	return all
}

func lacks(back *plans.Plan, old pg.Name) bool {
	t := back.TableOf(old)
	return t != nil && t.Lacking
}
