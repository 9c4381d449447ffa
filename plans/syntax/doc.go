// Package syntax reads the user's migrations with PostgreSQL's own parser: what each
// statement is, what may be done with it in a transaction that is not the
// migration's, what code may do as far as its text tells, and what the names in it
// meant when it ran. Package transforms infers from that what becomes of rows.
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
//
// [Script] does the same for migrations that run behind the fence: it tells how each
// of their statements runs in the transaction of the swap.
//
// It changes no database itself, and knows production only as scratch's
// structure before the migrations.
package syntax

import "github.com/pgumbra/pgumbra/plans/syntax/ast"

// TraceSchema holds what records marks in scratch. It is no part of the user's
// structure: leave it out of dumps and catalogs.
const TraceSchema = "pgumbra_trace"

// Levels of a notice: those of a finding.
const (
	Blocker = "blocker"
	Warning = "warning"
)

// Codes of notices; stable.
const (
	// CodeCluster: a statement acts on the whole server; not run in scratch.
	CodeCluster = "cluster-statement"
	// CodeConcurrently: CONCURRENTLY beside other statements in one file.
	CodeConcurrently = "concurrently-with-others"
	// CodeUnparsed: a file the parser cannot read.
	CodeUnparsed = "unparsed-migration"
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

// The kinds of statement that change data.
const (
	Alter    Kind = "alter"
	Update   Kind = "update"
	Delete   Kind = "delete"
	Insert   Kind = "insert"
	Create   Kind = "create" // CREATE TABLE AS, SELECT INTO
	Truncate Kind = "truncate"
	Opaque   Kind = "opaque"  // code, COPY, MERGE, EXECUTE: followed only as far as its text tells
	Relabel  Kind = "relabel" // ALTER TYPE … RENAME VALUE
	Index    Kind = "index"   // CREATE UNIQUE INDEX: rows must be such that it can be made
	Rename   Kind = "rename"  // ALTER TABLE … RENAME COLUMN
	Unread   Kind = "unread"  // a whole file that the parser cannot read
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
	// Deferred: it runs in the swap, and did not run in scratch.
	Deferred bool
	Names    ast.Names
}

// Place is where it stands.
func (f Fact) Place() Place { return Place{File: f.File, SQL: f.SQL, Line: f.Line} }

// Place is a statement of the migrations.
type Place struct {
	File, SQL string
	Line      int
}
