// Package catalog reads what a database holds: tables, columns, keys, indexes,
// constraints, sequences, types and functions. It reads only, and takes no lock
// beyond that of reading the catalogs.
//
// It is read three times for a plan: in scratch before and after the
// migrations, where oids and attnums tell lineage, and in production.
package catalog

import "github.com/pgumbra/pgumbra/internal/pg"

// Catalog is the structure of a database's own schemas at one moment; what
// belongs to the system is left out.
type Catalog struct {
	Schemas     []Namespace
	Tables      []*Table
	Indexes     []*Index
	Constraints []*Constraint
	Attached    []*Attached
	Sequences   []*Sequence
	Types       []*Type
	Functions   []*Function
	Extensions  []Extension // in the order in which they were made

	byOID  map[uint32]*Table
	byName map[pg.Name]*Table
}

// Namespace is a schema.
type Namespace struct {
	OID     uint32
	Name    string
	Owner   string
	ACL     string // aclitem[] as text; empty: the default
	Comment string
	// HasMembers: objects of extensions live in it, which no rename may take along.
	HasMembers bool
}

// Table is a relation that holds or describes rows.
type Table struct {
	OID     uint32
	Name    pg.Name
	Kind    string   // pg_class.relkind: r, p, v, m, f
	Parents []uint32 // pg_inherits, partitioned or not
	IsLeaf  bool     // member of a partition tree that holds rows
	// PartitionOf is the root of the partition tree; 0: none. The root itself has 0.
	PartitionOf uint32
	Persistence string // p, u
	Columns     []Column

	Owner       string
	RowType     uint32 // pg_type oid of its rows
	Extension   bool   // member of an extension
	RowSecurity bool
	ForceRLS    bool
	Populated   bool   // materialized views: holds rows
	Bound       string // partition bound, deparsed
	Definition  string // views: the query, deparsed
	Rows        int64  // estimate; of a partition tree's root only its own, none
	Bytes       int64  // heap and TOAST; read in production only
}

// Column is a live column.
type Column struct {
	Num       int16 // attnum: kept by PostgreSQL through renames and type changes
	Name      string
	Type      string // format_type, schema-qualified
	NotNull   bool
	Default   string // deparsed; empty: none
	Identity  string // a, d or empty
	Generated string // s, v or empty

	TypeOID   uint32
	Typmod    int32
	Collation string // quoted, qualified; empty: the type has none
}

// Index is an index of a table or materialized view.
type Index struct {
	OID        uint32
	Name       pg.Name
	Table      uint32
	Unique     bool
	Primary    bool
	Immediate  bool // checked at each statement, not at commit
	Valid      bool
	Partial    bool
	Exclusion  bool
	Expression bool // some key column is an expression
	Parent     uint32
	Constraint uint32 // that it serves; 0: none
	Keys       []IndexKey
}

// IndexKey is one key column of an index.
type IndexKey struct {
	Num       int16  // 0: an expression
	Equals    string // the opclass's equality as OPERATOR(schema.name); empty: it has none
	Collation string // quoted, qualified; empty: none
}

// Constraint is a table's or a domain's.
type Constraint struct {
	OID        uint32
	Name       string
	Table      uint32
	Kind       string // pg_constraint.contype
	Validated  bool
	Deferrable bool
	Columns    []int16
	References uint32
	RefColumns []int16
	Parent     uint32
	Definition string
}

// Attached is a trigger, a policy or a rule of a table or view.
type Attached struct {
	Kind        string // as people call it
	OID         uint32
	Table       uint32
	Name        string
	Definition  string // without its name; empty: too long to say
	Fingerprint string // the same as long as nothing but names changed
}

// Sequence is free, owned by a column, or an identity column's.
type Sequence struct {
	OID         uint32
	Name        pg.Name
	Definition  string // type, start, bounds, increment, cache, cycle
	Owner       string
	ACL         string
	Comment     string
	Persistence string
	Extension   bool
	Table       uint32 // whose column owns it; 0: free
	Column      int16
	Identity    bool
	LastValue   int64
	IsCalled    bool
}

// Type is one that a user made: an enum, domain, composite or range type, with
// its multirange; not the row types of tables.
type Type struct {
	OID        uint32
	Name       pg.Name
	Kind       string // pg_type.typtype: b, c, d, e, m, r
	Definition string // all that makes it what it is, as comparable text
	Owner      string
	ACL        string
	Comment    string
	Extension  bool
	// Refers to other types, relations' row types included, by pg_type oid, and
	// to other objects (functions, operators) by oid.
	Refers  []uint32
	Objects []uint32

	Array      uint32            // pg_type oid of its arrays; 0: none
	Labels     map[uint32]string // enums: by pg_enum oid, which RENAME VALUE keeps
	Attributes []int16           // composite types: attnums, which renames and type changes keep
}

// Function is a function, procedure or aggregate.
type Function struct {
	OID        uint32
	Name       pg.Name
	Arguments  string // identity arguments in parentheses
	Kind       string // pg_proc.prokind
	Language   string
	Volatility string // i, s, v
	Body       string
	Definition string // everything that says what it does, as comparable text
	Extension  bool
	Owner      string
}

// Extension is an installed one.
type Extension struct {
	Name    string
	Schema  string
	Version string
}

// ByOID finds a table; nil if it is not there.
func (c *Catalog) ByOID(oid uint32) *Table {
	if c.byOID != nil {
		return c.byOID[oid]
	}
	for _, t := range c.Tables {
		if t.OID == oid {
			return t
		}
	}
	return nil
}

// ByName finds a table; nil if it is not there.
func (c *Catalog) ByName(n pg.Name) *Table {
	if c.byName != nil {
		return c.byName[n]
	}
	for _, t := range c.Tables {
		if t.Name == n {
			return t
		}
	}
	return nil
}

// SequenceNamed finds a sequence; nil if it is not there.
func (c *Catalog) SequenceNamed(n pg.Name) *Sequence {
	for _, s := range c.Sequences {
		if s.Name == n {
			return s
		}
	}
	return nil
}

// Schema finds a schema.
func (c *Catalog) Schema(name string) (Namespace, bool) {
	for _, s := range c.Schemas {
		if s.Name == name {
			return s, true
		}
	}
	return Namespace{}, false
}

// Root is the root of the table's partition tree, or the table itself.
func (c *Catalog) Root(t *Table) *Table {
	if t.PartitionOf == 0 {
		return t
	}
	return c.ByOID(t.PartitionOf)
}

// IndexesOf lists a relation's indexes.
func (c *Catalog) IndexesOf(table uint32) []*Index {
	var all []*Index
	for _, i := range c.Indexes {
		if i.Table == table {
			all = append(all, i)
		}
	}
	return all
}

// Column finds a live column by attnum.
func (t *Table) Column(num int16) (Column, bool) {
	for _, c := range t.Columns {
		if c.Num == num {
			return c, true
		}
	}
	return Column{}, false
}

// IsView reports whether it is a view, or a materialized one.
func (t *Table) IsView() bool { return t.Kind == "v" || t.Kind == "m" }

// ColumnNamed finds a live column by name.
func (t *Table) ColumnNamed(name string) (Column, bool) {
	for _, c := range t.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// IsPartition reports whether the table is a member of a partition tree, its
// root not counted.
func (t *Table) IsPartition() bool { return t.PartitionOf != 0 }

// HoldsRows reports whether the table is a plain or partitioned one.
func (t *Table) HoldsRows() bool { return t.Kind == "r" || t.Kind == "p" }

// Usable reports whether the index tells rows apart at every moment: unique,
// immediate, valid, total, on plain columns that are all NOT NULL.
func (i *Index) Usable(t *Table) bool {
	return i.Immediate && i.total(t)
}

// Deferrable reports whether the index is usable but for being deferrable.
func (i *Index) Deferrable(t *Table) bool {
	return !i.Immediate && i.total(t)
}

// Columns are the numbers of its key columns; 0: an expression.
func (i *Index) Columns() []int16 {
	var nums []int16
	for _, k := range i.Keys {
		nums = append(nums, k.Num)
	}
	return nums
}

func (i *Index) total(t *Table) bool {
	if !i.Unique || !i.Valid || i.Partial || i.Expression || i.Exclusion {
		return false
	}
	for _, k := range i.Keys {
		if c, ok := t.Column(k.Num); !ok || !c.NotNull || k.Equals == "" {
			return false
		}
	}
	return true
}
