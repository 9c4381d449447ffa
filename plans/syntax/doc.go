// Package syntax reads the user's migrations with PostgreSQL's own parser and
// infers what each column of the shadow comes from: the things that the
// catalogs cannot tell, because scratch holds no rows.
//
// It works in this order:
//
//  1. [TraceSetup]'s SQL is run in scratch, once production's structure is
//     there, right before the migrations.
//  2. [Instrument] lays calls of pgumbra_trace.mark around the statements that
//     matter, on their own lines, and golang-migrate runs those texts. The marks
//     record which tables, columns, types and functions the names meant at that
//     very moment, under the search_path in force.
//  3. [ReadMarks] reads them back, with the state at the end.
//  4. [Infer] executes the statements symbolically: a column's value is an
//     expression over one production row. A statement that cannot be followed
//     marks what it wrote, and that mark travels along; where it reaches a
//     column or table of the final structure, a [Notice] says so. Nothing that
//     changes data is ever dropped silently.
//
// It changes no database itself, and knows production only as scratch's
// structure before the migrations.
package syntax

import "time"
import "github.com/pgumbra/pgumbra/plans/syntax/ast"

// TraceSchema holds what records marks in scratch. It is no part of the user's
// structure: leave it out of dumps and catalogs.
const TraceSchema = "pgumbra_trace"

// Levels of a notice: those of a finding.
const (
	blocker = "blocker"
	warning = "warning"
)

// Codes of notices; stable.
const (
	// CodeBackfill: what a statement writes cannot be inferred.
	CodeBackfill = "unmapped-backfill"
	// CodeTrigger: a statement fires triggers in place, but not in the shadow.
	CodeTrigger = "backfill-fires-trigger"
	// CodeCluster: a statement acts on the whole server; not run in scratch.
	CodeCluster = "cluster-statement"
	// CodeConcurrently: CONCURRENTLY beside other statements in one file.
	CodeConcurrently = "concurrently-with-others"
	// CodeUnparsed: a file the parser cannot read.
	CodeUnparsed = "unparsed-migration"
	// CodeDecided: what a statement does depends on what scratch does not hold.
	CodeDecided = "decided-by-rows"
	// CodePartition: a partition of production was dropped, detached or moved.
	CodePartition = "partition-changed"
)

// Notice is something that was seen in the migrations. Where Table is set, it
// concerns that table of the final structure (an oid in scratch): Columns only
// those, or when empty the table's rows as a whole. Whoever describes these by
// hand in the plan file makes the notice void.
type Notice struct {
	Level, Code, Object, Where, Message, Fix string
	// Opaque: the statement at Where is not understood; see plans.Finding.
	Opaque bool

	Table   uint32
	Columns []int16
}

// Kind is how a statement changes data.
type Kind string

// The kinds of statement that [Infer] looks at.
const (
	alter    Kind = "alter"
	update   Kind = "update"
	remove   Kind = "delete"
	insert   Kind = "insert"
	create   Kind = "create" // CREATE TABLE AS, SELECT INTO
	truncate Kind = "truncate"
	opaque   Kind = "opaque"  // code, COPY, MERGE, EXECUTE: followed only as far as its text tells
	relabel  Kind = "relabel" // ALTER TYPE … RENAME VALUE
	unread   Kind = "unread"  // a whole file that the parser cannot read
)

// Fact is a statement of a migration that may change data.
type Fact struct {
	ID   int
	File string
	Line int
	SQL  string
	Kind Kind
	// Marked: there are marks before and after it. If they are missing from
	// what was read, the statement did not happen (ROLLBACK).
	Marked bool
	names  ast.Names
}

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
	Statements []Place
	// Altered reports types whose old values are not the new ones of the same text:
	// the migrations rename an enum's labels, or alter a composite's attributes.
	Altered func(oid uint32) bool
	// Function spells a user-defined function likewise. Extensions' functions
	// are not asked for.
	Function func(oid uint32) (sql string, ok bool)
}

// Place is a statement of the migrations.
type Place struct {
	File, SQL string
	Line      int
}

// Inference is what the migrations do to rows.
type Inference struct {
	// Tables by their oid in scratch, which the final structure has: those with
	// rows out of production. Members of partition trees are not listed, their
	// root is.
	Tables  map[uint32]TableFeed
	Notices []Notice
	// Orphans are questions to ask of production's rows.
	Orphans []Orphans
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
