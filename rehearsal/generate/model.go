// Package generate fills the tables of a disposable database with rows made from
// the catalog: of each column's type, within NOT NULL, CHECK, UNIQUE, foreign
// keys, domains and partition bounds. It also makes the statements of generated
// clients. The server evaluates all of it from a row's number and the seed, so the
// same seed gives the same rows.
//
// It never works on production. Order of calls: [Read], then [Model.Fill];
// [Model.Insert], [Table.Delete] and the like for clients.
package generate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// Options of [Read].
type Options struct {
	Seed uint64
	// Rules are the user's own expressions, by table and column. In them n is the
	// row's number.
	Rules map[pg.Name]map[string]string
	// Leave are tables that are not the user's: golang-migrate's version table.
	Leave []pg.Name
	Asks  []Ask
	// Seeded are tables with rows of the migrations' own, which later ones may name by their keys:
	// clients leave those there, as applications do.
	Seeded []pg.Name
	// Few is how many different values a column has that need not be distinct, so that
	// even few rows have some twice; 0: thousands.
	Few int64
}

// Model is a database's tables and how values for them are made.
type Model struct {
	Tables []*Table // those that others refer to first, as far as there is such an order
	seed   uint64
	few    int64
	types  types
}

// Table is a plain table, or the root of a partition tree.
type Table struct {
	Name    pg.Name
	Columns []*Column // those that can be written
	Key     []string  // columns that tell rows apart; none: keyless
	// Parent: a later migration asks for rows that refer to these, or may ([Options.Seeded]).
	// Nothing holds them yet but whoever leaves them be.
	Parent bool

	made    []*Column // generated columns, computed where a CHECK asks for them
	checks  []check
	foreign []*reference
	bounds  string // condition of the partitions; empty: none, or any value goes
	// deferred: a unique constraint is checked at commit, and ON CONFLICT refused.
	deferred bool
	oid      uint32
}

// Column is one that can be written.
type Column struct {
	Name     string
	Sequence bool // its default draws from a sequence, or it is an identity
	Always   bool // an identity that no client may write
	NotNull  bool
	InKey    bool

	typeOID  uint32
	typmod   int32
	typeName string // as declared
	baseName string // without domains
	sql      string // makes a value; empty: nothing does
	rule     bool   // sql is the user's
	distinct bool
	nulls    int64 // one of so many is NULL; 0: none
	domains  []string
	alone    []string // CHECKs that speak of this column only
	castTo   *Ask     // a later migration casts the values; nil: none does
}

// check is a CHECK constraint.
type check struct {
	name      string
	columns   []int16
	condition string
}

// reference is a foreign key.
type reference struct {
	name       string
	to         *Table
	columns    []string
	refColumns []string
	full       bool // MATCH FULL is satisfied either way: all of it or nothing is NULL
	late       bool // filled when all tables are
	distinct   bool // one row of each parent's at most
	alone      bool // the same, since a later migration asks for it
}

// Read reads the catalog and tries how values can be made that the columns'
// constraints take. The session's search_path must be pg_catalog alone. What it
// makes while trying is rolled back.
func Read(ctx context.Context, conn *pgx.Conn, o Options) (*Model, error) {
	look, err := catalog.Read(ctx, conn)
	if err != nil {
		return nil, err
	}
	m := &Model{seed: o.Seed, few: o.Few}
	if m.types, err = readTypes(ctx, conn); err != nil {
		return nil, err
	}
	expressions, err := uniqueExpressions(ctx, conn)
	if err != nil {
		return nil, err
	}
	byOID := map[uint32]*Table{}
	for _, t := range look.Tables {
		if t.HoldsRows() && !t.IsPartition() && !t.Extension && !slices.Contains(o.Leave, t.Name) && !strings.HasPrefix(t.Name.Schema, "pgumbra") {
			own := m.table(look, t, o.Rules[t.Name])
			own.readExpressions(look, expressions)
			own.heed(t, o.Asks)
			own.Parent = own.Parent || slices.Contains(o.Seeded, t.Name)
			m.Tables = append(m.Tables, own)
			byOID[t.OID] = own
		}
	}
	for _, t := range m.Tables {
		t.readForeign(look, byOID, o.Asks)
		t.heedDistinct(m.types, o.Asks)
	}
	m.order()
	err = pg.ReadCommitted(ctx, conn, func(tx pgx.Tx) error {
		for _, t := range m.Tables {
			if err := m.tryColumns(ctx, tx, look, t); err != nil {
				return fmt.Errorf("find values for %s: %w", t.Name, err)
			}
		}
		return nil
	})
	return m, err
}

// table is one without its foreign keys.
func (m *Model) table(look *catalog.Catalog, from *catalog.Table, rules map[string]string) *Table {
	t := &Table{Name: from.Name, oid: from.OID}
	for _, c := range from.Columns {
		base, typmod, domains := m.types.base(c.TypeOID, c.Typmod)
		column := &Column{Name: c.Name, NotNull: c.NotNull || m.types.notNull(c.TypeOID), typeOID: c.TypeOID, typmod: c.Typmod, typeName: c.Type, baseName: c.Type,
			Always: c.Identity == "a", Sequence: c.Identity != "" || strings.HasPrefix(c.Default, "nextval(")}
		if base != nil && base.OID != c.TypeOID {
			column.typmod, column.baseName = typmod, base.Name
		}
		for _, d := range domains {
			column.domains = append(column.domains, valueWord.ReplaceAllString(Condition(d), pg.Ident(c.Name)))
		}
		if rule, ok := rules[c.Name]; ok {
			column.sql, column.rule = rule, true
		}
		if c.Generated != "" {
			column.sql = c.Default
			t.made = append(t.made, column)
			continue
		}
		t.Columns = append(t.Columns, column)
	}
	for _, k := range look.Constraints {
		if k.Table == from.OID && k.Kind == "c" {
			t.checks = append(t.checks, check{k.Name, k.Columns, Condition(k.Definition)})
		}
	}
	t.readKeys(look, from)
	return t
}

// valueWord is what a domain's CHECK calls its value.
var valueWord = regexp.MustCompile(`\bVALUE\b`)

// Condition is what stands between the brackets of a CHECK.
func Condition(definition string) string {
	s := strings.TrimSuffix(strings.TrimSuffix(definition, " NOT VALID"), " NO INHERIT")
	return strings.TrimPrefix(s, "CHECK ")
}

// readKeys marks columns whose values must be distinct: of each unique index one,
// if it can be.
func (t *Table) readKeys(look *catalog.Catalog, from *catalog.Table) {
	for _, i := range look.IndexesOf(from.OID) {
		if !i.Unique && !i.Exclusion {
			continue
		}
		t.deferred = t.deferred || !i.Immediate
		var members []*Column
		for _, k := range i.Keys {
			if c, ok := from.Column(k.Num); ok {
				if own := t.Column(c.Name); own != nil {
					members = append(members, own)
				}
			}
		}
		if i.Usable(from) && len(members) == len(i.Keys) && (t.Key == nil || i.Primary) {
			t.Key = nil
			for _, c := range members {
				t.Key = append(t.Key, c.Name)
			}
		}
		if len(members) > 0 && len(members) == len(i.Keys) && !slices.ContainsFunc(members, func(c *Column) bool { return c.distinct }) {
			members[len(members)-1].distinct = true
		}
	}
	for _, c := range t.Columns {
		c.InKey = slices.Contains(t.Key, c.Name)
	}
}

func (t *Table) readForeign(look *catalog.Catalog, byOID map[uint32]*Table, asks []Ask) {
	from := look.ByOID(t.oid)
	for _, k := range look.Constraints {
		to := byOID[k.References]
		if k.Table != t.oid || k.Kind != "f" || k.Parent != 0 || to == nil {
			continue
		}
		r := &reference{name: k.Name, to: to, full: strings.Contains(k.Definition, " MATCH FULL")}
		for i := range k.Columns {
			own, _ := from.Column(k.Columns[i])
			other, _ := look.ByOID(to.oid).Column(k.RefColumns[i])
			r.columns, r.refColumns = append(r.columns, own.Name), append(r.refColumns, other.Name)
		}
		r.distinct = t.sole(look, k.Columns)
		t.foreign = append(t.foreign, r)
	}
	t.heedForeign(look, asks, byOID)
	// The widest first: it decides the columns that it shares with others.
	slices.SortStableFunc(t.foreign, func(a, b *reference) int { return len(b.columns) - len(a.columns) })
}

// sole reports whether some columns alone must be unique.
func (t *Table) sole(look *catalog.Catalog, columns []int16) bool {
	return slices.ContainsFunc(look.IndexesOf(t.oid), func(i *catalog.Index) bool {
		return i.Unique && !slices.ContainsFunc(i.Columns(), func(n int16) bool { return n == 0 || !slices.Contains(columns, n) })
	})
}

// Column finds a column that can be written; nil if there is none of that name.
func (t *Table) Column(name string) *Column {
	for _, c := range t.Columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// order puts parents before their children. Of a cycle one foreign key is filled
// when all tables are; so is one that leads from a table to itself.
func (m *Model) order() {
	left := map[*Table]bool{}
	for _, t := range m.Tables {
		left[t] = true
	}
	waits := func(t *Table) bool {
		return slices.ContainsFunc(t.foreign, func(r *reference) bool { return r.waitsIn(left, t) })
	}
	var ordered []*Table
	for len(left) > 0 {
		ready := slices.DeleteFunc(slices.Clone(m.Tables), func(t *Table) bool { return !left[t] || waits(t) })
		if len(ready) == 0 {
			ready = []*Table{firstOfCycle(left)}
		}
		for _, t := range ready {
			for _, r := range t.foreign {
				r.late = r.late || r.to == t || left[r.to] && !slices.Contains(ready, r.to)
			}
			ordered = append(ordered, t)
			delete(left, t)
		}
	}
	m.Tables = ordered
}

// tryColumns finds for each column what makes its values.
func (m *Model) tryColumns(ctx context.Context, tx pgx.Tx, look *catalog.Catalog, t *Table) error {
	from := look.ByOID(t.oid)
	if from.Kind == "p" {
		if err := t.readBounds(ctx, tx); err != nil {
			return err
		}
	}
	for _, c := range t.Columns {
		if c.rule || t.references(c.Name) {
			continue
		}
		num, _ := from.ColumnNamed(c.Name)
		own, all := t.conditionsOn(c, num.Num)
		if !c.NotNull && c.nulls == 0 && !c.InKey {
			c.nulls = 10
		}
		d := m.draw(t, c)
		tries := m.types.candidates(c, all, d)
		if c.castTo != nil {
			tries = m.types.castable(c, d)
		}
		if err := c.choose(ctx, tx, tries, own, d); err != nil {
			return err
		}
	}
	return nil
}

// conditionsOn are what speaks of a column: of it alone, and all.
func (t *Table) conditionsOn(c *Column, num int16) (own, all []string) {
	own, all = slices.Clone(c.domains), slices.Clone(c.domains)
	for _, k := range t.checks {
		if !slices.Contains(k.columns, num) {
			continue
		}
		all = append(all, k.condition)
		if len(k.columns) == 1 {
			own = append(own, k.condition)
			c.alone = append(c.alone, k.name)
		} else if !c.NotNull && tellsNull.MatchString(k.condition) {
			c.nulls = 2
		}
	}
	if !mentions(c, t.bounds) {
		return own, all
	}
	if !slices.ContainsFunc(t.Columns, func(other *Column) bool { return other != c && mentions(other, t.bounds) }) {
		own = append(own, t.bounds)
	}
	return own, append(all, t.bounds)
}

// mentions reports whether a condition speaks of a column.
func mentions(c *Column, condition string) bool {
	return regexp.MustCompile(`(^|[^\w"])` + regexp.QuoteMeta(c.Name) + `($|[^\w"])|"` + regexp.QuoteMeta(c.Name) + `"`).MatchString(condition)
}

var tellsNull = regexp.MustCompile(`IS (NOT )?NULL|num_n`)

func (m *Model) draw(t *Table, c *Column) draw {
	return draw{seed: m.seed, salt: t.Name.String() + "." + c.Name, distinct: c.distinct, column: c.Name, few: m.few}
}

// references reports whether a foreign key decides a column's values.
func (t *Table) references(column string) bool {
	return slices.ContainsFunc(t.foreign, func(r *reference) bool { return slices.Contains(r.columns, column) })
}

// mostBounds is how many partitions' bounds a row is looked for in.
const mostBounds = 60

// readBounds reads which rows have a partition to go to.
func (t *Table) readBounds(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT pg_get_partition_constraintdef(p.relid) FROM pg_partition_tree($1::oid) p
		WHERE p.isleaf ORDER BY p.relid LIMIT $2`, t.oid, mostBounds)
	if err != nil {
		return err
	}
	bounds, err := pgx.CollectRows(rows, pgx.RowTo[*string])
	if err != nil {
		return err
	}
	var conditions []string
	for _, b := range bounds {
		if b == nil { // a partition that takes everything
			return nil
		}
		conditions = append(conditions, "("+*b+")")
	}
	t.bounds = strings.Join(conditions, " OR ")
	if t.bounds == "" {
		t.bounds = "false"
	}
	return nil
}
