// Package transforms infers what each column of the shadow comes from: the things that
// the catalogs cannot tell, because scratch holds no rows.
//
// [Infer] executes the statements of the migrations symbolically, with what package
// syntax read of them: a column's value is an expression over one production row. A
// statement that cannot be followed marks what it wrote, and that mark travels along;
// where it reaches a column or table of the final structure, a [syntax.Notice] says so.
// Nothing that changes data is ever dropped silently.
//
// It opens no connection. It is one package, and a large one, since its parts call each
// other in a ring: a statement (change.go, insert.go, alter.go) writes values of
// expressions (expr.go, call.go), an expression holds queries (query.go, sublink.go), a
// query reads tables (table.go, lookup.go), a table has triggers and foreign keys
// (triggers.go, cascade.go), and those are statements again. What outsiders need of all
// of it is [Infer] and its result.
package transforms

import (
	"time"

	"github.com/pgumbra/pgumbra/plans/syntax"
)

// Options are what [Infer] must know beyond the structure. The zero value
// takes every type and function for shared with production.
type Options struct {
	// Now is the run's one value of now().
	Now time.Time
	// Type spells a user-defined type, by its oid in scratch (never an array's),
	// as an expression over production must while the shadow is built. Not ok: no
	// such type is there then.
	Type func(oid uint32) (sql string, ok bool)
	// Changed reports types that exist in production and in the shadow, but not
	// as the same type: values pass from one to the other through text.
	Changed func(oid uint32) bool
	// Statements are all of the migrations, in order: findings about what shows
	// only in the end name the one that is likely to have done it.
	Statements []syntax.Place
	// Altered reports types whose old values are not the new ones of the same text:
	// the migrations rename an enum's labels, or alter a composite's attributes.
	Altered func(oid uint32) bool
	// Function spells a user-defined function likewise. Extensions' functions
	// are not asked for.
	Function func(oid uint32) (sql string, ok bool)
}

// Codes of notices; stable.
const (
	// CodeBackfill: what a statement writes cannot be inferred.
	CodeBackfill = "unmapped-backfill"
	// CodeTrigger: a statement fires triggers in place, but not in the shadow.
	CodeTrigger = "backfill-fires-trigger"
	// CodeDecided: what a statement does depends on what scratch does not hold.
	CodeDecided = "decided-by-rows"
	// CodePartition: a partition of production was dropped, detached or moved.
	CodePartition = "partition-changed"
)

// Inference is what the migrations do to rows.
type Inference struct {
	// Tables by their oid in scratch, which the final structure has: those with
	// rows out of production. Members of partition trees are not listed, their
	// root is.
	Tables  map[uint32]TableFeed
	Notices []syntax.Notice
	// Orphans are questions to ask of production's rows.
	Orphans []Orphans
	// Deferrable are statements that are not understood, and might run in the swap by
	// themselves.
	Deferrable []Deferral
	// Sees is the first statement that may fail where one of them is left out that says what
	// rows must be like; nil: none.
	Sees *syntax.Notice
	// Deferred are those that do.
	Deferred []Deferral
	// Err: the parser process broke. What it left unread is blocked by Notices
	// too, so nothing is lost by looking at it late.
	Err error
}

// TableFeed says where the rows of a table of the final structure come from.
type TableFeed struct {
	// Source is the oid in scratch of the table that held the rows before the
	// migrations.
	Source uint32
	// Where is SQL over the production row that must be true; empty: all rows.
	Where string
	Looks bool // Where reads other tables
	// Settings, where not nil, are those of the session that Where means.
	Settings map[string]string
	// Functions are the user's own functions that Where calls, by oid in scratch.
	Functions []uint32
	// Columns by attnum. Those that a blocker concerns are absent.
	Columns map[int16]Expr
	// Lookups are the other tables that Where and the columns' expressions read.
	Lookups []Lookup
	// Empty: the migrations took all production rows away.
	Empty bool
	// Carried: the rows that scratch holds are the table's content (after Empty).
	Carried bool
}

// Origin is how an expression was found.
type Origin string

// The origins.
const (
	Lineage  Origin = "lineage"
	Using    Origin = "using"
	Backfill Origin = "backfill"
	Default  Origin = "default"
)

// Expr fills a column: SQL over the bare column names of production, to be
// cast to the column's type by assignment (through text where enums differ).
type Expr struct {
	SQL    string
	Origin Origin
	// Volatile: made by the column's own default, a new value for each row.
	Volatile bool
	// Generated: never written.
	Generated bool
	// Settings, where not nil, are those of the session that SQL means, and its
	// assignment to the column: DateStyle, TimeZone and their like.
	Settings map[string]string
	// Functions are the user's own functions that SQL calls, by oid in scratch.
	Functions []uint32
	// Looks: it reads other tables.
	Looks bool
}
