package catalog

import (
	"context"
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed sql/*.sql
var queries embed.FS

// Read reads the structure of all schemas but the system's. The session's
// search_path must be pg_catalog alone, or names come out unqualified; in a
// REPEATABLE READ transaction all of it is of one snapshot.
func Read(ctx context.Context, db pg.Querier) (*Catalog, error) {
	c := &Catalog{byOID: map[uint32]*Table{}, byName: map[pg.Name]*Table{}}
	for _, part := range []struct {
		name string
		read func(pgx.Rows) error
	}{
		{"schemas", c.schema}, {"tables", c.table}, {"columns", c.column}, {"indexes", c.index},
		{"constraints", c.constraint}, {"sequences", c.sequence}, {"types", c.typ}, {"functions", c.function},
		{"attached", c.attached},
	} {
		if err := each(ctx, db, part.name, part.read); err != nil {
			return nil, err
		}
	}
	return c, c.extensions(ctx, db)
}

func each(ctx context.Context, db pg.Querier, name string, read func(pgx.Rows) error, args ...any) error {
	text, err := queries.ReadFile("sql/" + name + ".sql")
	if err != nil {
		return err
	}
	rows, err := db.Query(ctx, string(text), args...)
	if err != nil {
		return fmt.Errorf("read the catalog's %s: %w", name, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			return fmt.Errorf("read the catalog's %s: %w", name, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the catalog's %s: %w", name, err)
	}
	return nil
}

func (c *Catalog) schema(rows pgx.Rows) error {
	var n Namespace
	err := rows.Scan(&n.OID, &n.Name, &n.Owner, &n.ACL, &n.Comment, &n.HasMembers)
	c.Schemas = append(c.Schemas, n)
	return err
}

func (c *Catalog) table(rows pgx.Rows) error {
	t := new(Table)
	err := rows.Scan(&t.OID, &t.Name.Schema, &t.Name.Name, &t.Kind, &t.Persistence, &t.Owner,
		&t.RowType, &t.RowSecurity, &t.ForceRLS, &t.Populated, &t.Parents, &t.PartitionOf, &t.IsLeaf,
		&t.Extension, &t.Bound, &t.Definition, &t.Rows)
	c.Tables = append(c.Tables, t)
	c.byOID[t.OID], c.byName[t.Name] = t, t
	return err
}

func (c *Catalog) column(rows pgx.Rows) error {
	var table uint32
	var l Column
	err := rows.Scan(&table, &l.Num, &l.Name, &l.Type, &l.NotNull, &l.Default, &l.Identity, &l.Generated,
		&l.TypeOID, &l.Typmod, &l.Collation)
	if t := c.byOID[table]; t != nil {
		t.Columns = append(t.Columns, l)
	}
	return err
}

func (c *Catalog) index(rows pgx.Rows) error {
	i := new(Index)
	var nums []int16
	var equals, collations []string
	err := rows.Scan(&i.OID, &i.Name.Schema, &i.Name.Name, &i.Table, &i.Unique, &i.Primary, &i.Immediate,
		&i.Valid, &i.Partial, &i.Exclusion, &i.Parent, &i.Constraint, &nums, &equals, &collations)
	for n := range nums {
		i.Keys = append(i.Keys, IndexKey{Num: nums[n], Equals: equals[n], Collation: collations[n]})
		i.Expression = i.Expression || nums[n] == 0
	}
	c.Indexes = append(c.Indexes, i)
	return err
}

func (c *Catalog) constraint(rows pgx.Rows) error {
	k := new(Constraint)
	err := rows.Scan(&k.OID, &k.Name, &k.Table, &k.Kind, &k.Validated, &k.Deferrable, &k.Columns,
		&k.References, &k.RefColumns, &k.Parent, &k.Definition)
	c.Constraints = append(c.Constraints, k)
	return err
}

func (c *Catalog) sequence(rows pgx.Rows) error {
	s := new(Sequence)
	err := rows.Scan(&s.OID, &s.Name.Schema, &s.Name.Name, &s.Definition, &s.Owner, &s.ACL, &s.Comment,
		&s.Persistence, &s.Extension, &s.Table, &s.Column, &s.Identity)
	c.Sequences = append(c.Sequences, s)
	return err
}

func (c *Catalog) typ(rows pgx.Rows) error {
	t := &Type{Labels: map[uint32]string{}}
	var oids []uint32
	var labels []string
	err := rows.Scan(&t.OID, &t.Name.Schema, &t.Name.Name, &t.Kind, &t.Definition, &t.Owner, &t.ACL, &t.Comment,
		&t.Extension, &t.Refers, &t.Objects, &t.Array, &oids, &labels, &t.Attributes)
	for i := range labels {
		t.Labels[oids[i]] = labels[i]
	}
	c.Types = append(c.Types, t)
	return err
}

func (c *Catalog) function(rows pgx.Rows) error {
	f := new(Function)
	err := rows.Scan(&f.OID, &f.Name.Schema, &f.Name.Name, &f.Arguments, &f.Kind, &f.Language, &f.Volatility,
		&f.Body, &f.Definition, &f.Extension, &f.Owner)
	c.Functions = append(c.Functions, f)
	return err
}

func (c *Catalog) attached(rows pgx.Rows) error {
	a := new(Attached)
	err := rows.Scan(&a.Kind, &a.OID, &a.Table, &a.Name, &a.Definition, &a.Fingerprint)
	c.Attached = append(c.Attached, a)
	return err
}

func (c *Catalog) extensions(ctx context.Context, db pg.Querier) error {
	rows, err := db.Query(ctx, `SELECT e.extname, n.nspname, e.extversion FROM pg_extension e
		JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY e.oid`)
	if err != nil {
		return fmt.Errorf("read the extensions: %w", err)
	}
	c.Extensions, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Extension])
	if err != nil {
		return fmt.Errorf("read the extensions: %w", err)
	}
	return nil
}

// ReadSizes adds heap and TOAST sizes to the tables of some schemas.
func (c *Catalog) ReadSizes(ctx context.Context, db pg.Querier, schemas []string) error {
	var oids []uint32
	for _, s := range c.Schemas {
		for _, name := range schemas {
			if s.Name == name {
				oids = append(oids, s.OID)
			}
		}
	}
	return each(ctx, db, "sizes", func(rows pgx.Rows) error {
		var oid uint32
		var bytes int64
		err := rows.Scan(&oid, &bytes)
		if t := c.byOID[oid]; t != nil {
			t.Bytes = bytes
		}
		return err
	}, oids)
}

// ReadValues adds last_value and is_called to the sequences of some schemas.
// Reading a sequence needs USAGE or SELECT on it.
func (c *Catalog) ReadValues(ctx context.Context, db pg.Querier, schemas []string) error {
	var all []*Sequence
	for _, s := range c.Sequences {
		if contains(schemas, s.Name.Schema) {
			all = append(all, s)
		}
	}
	for some := range slices.Chunk(all, sequencesAtOnce) {
		if err := readValues(ctx, db, some); err != nil {
			return err
		}
	}
	return nil
}

// sequencesAtOnce are read by one statement, which locks each of them.
const sequencesAtOnce = 100

func readValues(ctx context.Context, db pg.Querier, some []*Sequence) error {
	var selects []string
	for i, s := range some {
		selects = append(selects, fmt.Sprintf("SELECT %d, last_value, is_called FROM %s", i, s.Name.Quoted()))
	}
	rows, err := db.Query(ctx, strings.Join(selects, " UNION ALL "))
	if err != nil {
		return fmt.Errorf("read sequences: %w", err)
	}
	var i int
	var last int64
	var called bool
	_, err = pgx.ForEachRow(rows, []any{&i, &last, &called}, func() error {
		some[i].LastValue, some[i].IsCalled = last, called
		return nil
	})
	if err != nil {
		return fmt.Errorf("read sequences: %w", err)
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
