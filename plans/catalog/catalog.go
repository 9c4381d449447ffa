// Package catalog reads what a database holds: tables, columns, keys, indexes,
// constraints, sequences, types and what depends on what. It reads only, at one
// snapshot, and takes no lock beyond that of reading the catalogs.
package catalog

import "github.com/pgumbra/pgumbra/internal/pg"

// Catalog is the structure of some schemas at one moment.
type Catalog struct {
	Tables []*Table
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
}

// Column is a live column.
type Column struct {
	Num       int16 // attnum: kept by PostgreSQL through renames and type changes
	Name      string
	Type      string // format_type, schema-qualified
	NotNull   bool
	Default   string // deparsed; empty: none
	Identity  string // a, d or empty
	Generated string // s or empty
}

// ByOID finds a table; nil if it is not there.
func (c *Catalog) ByOID(oid uint32) *Table {
	for _, t := range c.Tables {
		if t.OID == oid {
			return t
		}
	}
	return nil
}
