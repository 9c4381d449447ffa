package plans

import (
	"github.com/pgumbra/pgumbra/internal/pg"
)

// Shared is a type or sequence that the migrations left as it is: the shadow
// uses production's own, and the swap moves it.
type Shared struct {
	Kind string  `json:"kind"` // TYPE, DOMAIN, SEQUENCE: the word after ALTER
	Name pg.Name `json:"name"` // in production
	// OwnedByTable and OwnedByColumn: a shared sequence's owner after the swap, by final name; empty: none.
	OwnedByTable  pg.Name `json:"owned_by_table"`
	OwnedByColumn string  `json:"owned_by_column,omitempty"`
}

// Sequence is one that the shadow has of its own and that must be set behind
// the fence.
type Sequence struct {
	Shadow     pg.Name `json:"shadow"`
	Production pg.Name `json:"production"` // whose last_value it continues; zero: only the shadow has it
	Table      pg.Name `json:"table"`      // shadow table of the column it feeds; zero: free
	Column     string  `json:"column,omitempty"`
	Identity   bool    `json:"identity,omitempty"`
	// LastValue and IsCalled as the migrations left it in scratch.
	LastValue int64 `json:"last_value"`
	IsCalled  bool  `json:"is_called"`
	// Set: the migrations set production's sequence (RESTART, setval), to
	// LastValue and IsCalled. ProductionLast and ProductionCalled are where it
	// stood when the plan was made. The cutover sets it likewise, but where
	// clients have drawn since then and stand further in the increment's
	// direction, there: their numbers are in use. One that the migrations set back
	// goes back.
	Set              bool  `json:"set,omitempty"`
	ProductionLast   int64 `json:"production_last,omitempty"`
	ProductionCalled bool  `json:"production_called,omitempty"`
}

// Transform is a function in production's control schema that evaluates an
// expression under the settings of another session than ours. It is made with
// the shadow, and dropped with it or after the swap.
type Transform struct {
	Name pg.Name `json:"name"`
	SQL  string  `json:"sql"` // CREATE FUNCTION; it names types of the shadow
}

// Entry is one statement group of the shadow's structure as pg_dump wrote it
// from scratch, in its order, under the shadow's schema names; shared types and
// sequences appear under production's.
type Entry struct {
	TOC   int     `json:"toc"`
	Class uint32  `json:"class"` // catalog's oid in scratch
	OID   uint32  `json:"oid"`   // object's oid in scratch
	Tag   string  `json:"tag"`   // pg_dump's: TABLE, INDEX, CONSTRAINT, FK CONSTRAINT, TRIGGER, …
	Name  pg.Name `json:"name"`
	Owner string  `json:"owner,omitempty"`
	SQL   string  `json:"sql"`
	Stage Stage   `json:"stage"`
	// Table is the shadow relation that an index, constraint, trigger, rule or
	// policy belongs to. Root is the one of [Plan.Tables] that it is a part of:
	// of a partition's index the root of the tree.
	Table pg.Name `json:"table"`
	Root  pg.Name `json:"root"`
}

// Stage is when an entry is run.
type Stage string

// The stages, in order.
const (
	// StageBuild: schemas, types, functions, tables without indexes, views.
	StageBuild Stage = "build"
	// StageKey: the index of the key, before the first replay.
	StageKey Stage = "key"
	// StageIndex: other indexes, unique and exclusion constraints, statistics,
	// after the first catch-up.
	StageIndex Stage = "index"
	// StageLate: run before the cutover, after the indexes: what needs them
	// (CLUSTER ON, REPLICA IDENTITY, comments on indexes, policies).
	StageLate Stage = "late"
	// StageSwap: inside the swap: triggers, rules, NOT VALID checks, foreign
	// keys as NOT VALID. Before it they would act on our own writes.
	StageSwap Stage = "swap"
)

// ForeignKey is a constraint of the shadow that production does not already
// guarantee.
type ForeignKey struct {
	Name       string   `json:"name"`
	Table      pg.Name  `json:"table"`
	Columns    []string `json:"columns"`
	References pg.Name  `json:"references"`
	RefColumns []string `json:"ref_columns"`
}

// VersionTable is golang-migrate's.
type VersionTable struct {
	Name pg.Name `json:"name"` // final name
	// Moves: it is in a schema that moves, so the row is written to the shadow's.
	Moves  bool `json:"moves"`
	Exists bool `json:"exists"` // in production; made in the swap otherwise
}

// Matview is a materialized view of the shadow.
type Matview struct {
	Shadow pg.Name `json:"shadow"`
	// Production has a view that it was, or of the name that it will have: after
	// the swap it must not show older data than that one does before. Zero: none.
	Production pg.Name `json:"production"`
	// Made by the migrations, which in place would fill it in the moment that they
	// run; otherwise it is what production's is.
	Made bool `json:"made,omitempty"`
	// Filled by the migrations, whether production's is or not.
	Filled bool `json:"filled,omitempty"`
}

// MaterializedViews are the shadow's, in refresh order. Of a plan that an older
// pgumbra made, only those that hold rows are known.
func (p *Plan) MaterializedViews() []Matview {
	if len(p.Views) > 0 {
		return p.Views
	}
	var all []Matview
	for _, n := range p.Matviews {
		all = append(all, Matview{Shadow: n, Made: true, Filled: true})
	}
	return all
}

// SetSchema is the statement that moves a shared object from one schema to
// another. It takes ACCESS EXCLUSIVE on a sequence, no table lock for a type.
func (s Shared) SetSchema(from, to string) string {
	return "ALTER " + s.Kind + " " + pg.Name{Schema: from, Name: s.Name.Name}.Quoted() +
		" SET SCHEMA " + pg.Ident(to)
}
