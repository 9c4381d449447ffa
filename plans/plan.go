// Package plans is what a plan says, as data: where each table and column of the
// shadow comes from, the shadow's structure, findings, estimates and steps. Every
// other package reads it; package planner makes it, upgrade.Plan completes its steps with
// what those tell that will do them, package planfile reads what its user decided, package
// report shows it to people. It opens no connection.
package plans

import (
	"github.com/pgumbra/pgumbra/internal/pg"
)

// Plan is what will happen: what the plan file says and what was inferred from
// the scratch database. It is made once, stored with the run as JSON, and never
// inferred again: each later command reads the stored one.
type Plan struct {
	// Direction that rows go; empty: [Forward]. A way back is never stored: see
	// [Plan.Inverse].
	Direction Direction `json:"-"`

	Format      int    `json:"format,omitempty"` // [Format] of whoever made it; see [Decode]
	Run         string `json:"run"`
	FromVersion *int64 `json:"from_version"` // nil: production has no version
	ToVersion   *int64 `json:"to_version"`
	Build       Build  `json:"build"`
	// Behind is what runs behind the fence; nil: nothing.
	Behind   *Behind `json:"behind_fence,omitempty"`
	Runnable bool    `json:"runnable"`
	// NothingToDo: production is at the newest version; the plan is otherwise empty.
	NothingToDo bool `json:"nothing_to_do,omitempty"`

	// Remote: the shadow is another database than production's. Nothing is
	// shared with production then.
	Remote bool `json:"elsewhere,omitempty"`

	// SearchPath is that of a session of production.dsn; the user's transforms
	// are evaluated under it.
	SearchPath string `json:"search_path"`
	// Session are further settings of such a session that decide what a
	// transform gives: its time zone, and whether day or month comes first. Where
	// the shadow is remote also those of the user's own.
	Session map[string]string `json:"session"`
	// StartedAt is the run's one value of now(), for columns whose default is
	// the time of the migration. RFC 3339.
	StartedAt string `json:"started_at"`

	Schemas      []Schema      `json:"schemas"`
	Sources      []Source      `json:"sources"`
	Tables       []Table       `json:"shadow_tables"`
	Shared       []Shared      `json:"shared"`
	Sequences    []Sequence    `json:"sequences"`
	Entries      []Entry       `json:"entries"`
	Transforms   []Transform   `json:"transforms,omitempty"`
	VersionTable *VersionTable `json:"version_table"`

	// Production is the server that was looked at; the plan is of StartedAt.
	Production Server `json:"production"`
	// Changes are what the migrations do to the structure, file by file.
	Changes   []FileChanges `json:"changes,omitempty"`
	Findings  []Finding     `json:"findings"`
	Estimates Estimates     `json:"estimates"`
	Steps     []Step        `json:"steps"`
	Settings  Settings      `json:"settings"`
	Structure *Structure    `json:"structure,omitempty"`
	// Belongings are what production's database had of its own when the plan was made, where
	// the shadow is another one: see [conditions.Belongings]. Of a way back those that the
	// new one had at the swap; who leads it fills them in.
	Belongings map[string]string `json:"belongings,omitempty"`
	Matviews   []pg.Name         `json:"matviews"` // populated ones, in shadow, in refresh order
	// Views are all materialized views of the shadow, in refresh order.
	Views  []Matview    `json:"materialized_views,omitempty"`
	NewFKs []ForeignKey `json:"new_fks"` // those without a valid twin in production: checked before the cutover
}

// Build is how the shadow's content comes about.
type Build string

// The ways to build.
const (
	// Auto is a wish, never an answer: the longest understood prefix before the
	// fence, the rest behind it.
	Auto Build = "auto"
	// Direct: rows go through their transforms straight into the shadow.
	Direct Build = "direct"
	// BehindFence: migrations run for real, behind the fence, in the swapping
	// transaction; all of them, or those that are not understood and what follows.
	BehindFence Build = "behind_fence"
)

// Swap is how a schema's names come to lead to the shadow.
type Swap string

// The swaps.
const (
	// Rename the schemas: no table lock, readers never wait. For a schema that
	// holds only what moves.
	Rename Swap = "rename"
	// Move objects one by one with SET SCHEMA, behind ACCESS EXCLUSIVE locks:
	// for a schema that also holds extensions or what is not in the plan.
	Move Swap = "move"
)

// Schema is one schema that moves.
type Schema struct {
	Production string `json:"production"` // the true name, shop
	Shadow     string `json:"shadow"`     // pgumbra_shop_v2_shop
	Old        string `json:"old"`        // pgumbra_shop_v2_old_shop
	Swap       Swap   `json:"swap"`
	// MoveIn are the statements that bring each object of the shadow under the true name
	// where the schema cannot be renamed.
	MoveIn []string `json:"move_in,omitempty"`
}

// Kind is how a production table's statements reach its rows.
type Kind string

// The kinds of table.
const (
	Plain       Kind = "plain"
	Partitioned Kind = "partitioned" // captured on every member of the tree, journalled as the root
	Inherited   Kind = "inherited"   // has parents or children by INHERITS: ONLY everywhere, record key
)

// Record is what a journal row holds besides the key.
type Record string

// The ways to record.
const (
	RecordRow   Record = "row"   // the key and the whole new row
	RecordKey   Record = "key"   // only the key: the row is read again at the batch's snapshot
	RecordImage Record = "image" // keyless: OLD and NEW images, replayed as a multiset
)

// Source is a production table whose changes are captured, or which is frozen.
type Source struct {
	N       int      `json:"n"` // index in Plan.Sources
	Name    pg.Name  `json:"name"`
	OID     uint32   `json:"oid"`
	Kind    Kind     `json:"kind"`
	Members []Member `json:"members"` // the partition tree, root first; of other kinds the table itself
	// Detached are partitions that left the tree in mid-run and are still there as
	// tables: they stand against the cutover until they are gone.
	Detached []Member       `json:"detached,omitempty"`
	Columns  []SourceColumn `json:"columns"` // live columns in attnum order, generated ones included
	Key      []KeyColumn    `json:"key"`     // empty: keyless, Record is image
	Record   Record         `json:"record"`
	// Tracked are further columns whose OLD and NEW values the journal holds,
	// because a derived table is reached through them.
	Tracked []string `json:"tracked,omitempty"`
	// Back is the query by which its rows come back after the swap; nil: they come from
	// the one table that they went to.
	Back *BackQuery `json:"back,omitempty"`
	// Ancestors by INHERITS: indexes of sources whose entries touch the same
	// key in this table too.
	Ancestors []int `json:"ancestors,omitempty"`
	Frozen    bool  `json:"frozen,omitempty"`
	Unlogged  bool  `json:"unlogged,omitempty"`
	Rows      int64 `json:"rows"`  // estimate
	Bytes     int64 `json:"bytes"` // heap and TOAST
}

// Leaves counts the members that hold rows themselves.
func (s *Source) Leaves() (n int) {
	for _, m := range s.Members {
		if m.Leaf {
			n++
		}
	}
	return n
}

// Member is one table of a partition tree.
type Member struct {
	Name pg.Name `json:"name"`
	OID  uint32  `json:"oid"`
	Leaf bool    `json:"leaf"` // holds rows itself

	// Indexes are those that it has since it joined the run, attached to the table's: they
	// go with it.
	Indexes []pg.Name `json:"indexes,omitempty"`
}

// SourceColumn is a column of a production table.
type SourceColumn struct {
	Name      string `json:"name"`
	Type      string `json:"type"` // SQL text, schema-qualified, with typmod
	Generated bool   `json:"generated,omitempty"`
	NotNull   bool   `json:"not_null,omitempty"`
}

// KeyColumn is a column of the unique index that tells rows apart.
type KeyColumn struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Collation string `json:"collation,omitempty"` // quoted, qualified; empty: the type has none
	// Equals is the equality operator of the index's operator class as SQL
	// text, OPERATOR(public.=): citext's own = is not text's.
	Equals string `json:"equals"`
}

// Feed is where a shadow table's rows come from.
type Feed string

// The feeds.
const (
	Copied  Feed = "copied"  // from one production table, through transforms
	Derived Feed = "derived" // from a query over several
	Carried Feed = "carried" // rows that the migrations inserted in a new table, out of scratch
	Skipped Feed = "skipped" // created empty, as the plan says
	Version Feed = "version" // golang-migrate's version table: written in the swap
)

// Table is a table of the shadow that holds rows: a plain one, or the root of
// a partition tree.
type Table struct {
	N      int     `json:"n"` // index in Plan.Tables
	Shadow pg.Name `json:"shadow"`
	Final  pg.Name `json:"final"` // the name after the swap
	Feed   Feed    `json:"feed"`
	Kind   Kind    `json:"kind"`
	// Source is the index of the production table it is copied from; -1 if
	// none. Production is its name, for people.
	Source     int     `json:"source"`
	Production pg.Name `json:"production"`
	// Where filters the production rows; SQL over the production row. Empty: all.
	Where string `json:"where,omitempty"`
	// Own, SQL over the table's own row, are the rows that replay has to do with; the
	// others are nobody's to write or compare. Empty: all. Of a way back alone: rows
	// that a filter has kept from the new table stay as they are.
	Own     string   `json:"-"`
	Columns []Column `json:"columns"`
	// Key pairs each of the source's key columns with the shadow column that
	// holds it. Of a derived table: its own key, Production empty.
	Key []Pair `json:"key"`
	// Upsert: the key's is the only unique or exclusion index, so INSERT … ON
	// CONFLICT serves. Otherwise touched keys are deleted, then inserted.
	// KeyIndex is the TOC number of the entry that makes the key's index; 0: none.
	Upsert bool `json:"upsert"`
	// SoleKey: no unique or exclusion index but the key's, so rows of different
	// keys are never in each other's way.
	SoleKey  bool `json:"sole_key"`
	KeyIndex int  `json:"key_index"`
	// Derived only: the query over production.
	From string `json:"from,omitempty"`
	// Watches are how changes of other tables than Source reach the rows.
	Watches []Watch `json:"watches,omitempty"`

	// Reverse is how to go back: Shadow holds the production column, Expression is
	// over the shadow row, cast by assignment; "" if the row does not hold it. Empty:
	// the table has no way back.
	Reverse []Column `json:"reverse"`
	// Unfit, over the table's own row by the names that all has after the swap, says
	// why the old table cannot hold it; NULL where it can. Empty: each row fits.
	Unfit string `json:"unfit,omitempty"`
	// Refuses is the same of rows that the old table would refuse; what it would only
	// alter is not among them.
	Refuses string `json:"refuses,omitempty"`
	// Noted, of a way back alone, are expressions over the table's own row, the old one:
	// the key of the new row that it was, as rows that are unfit are noted by it. Empty:
	// none is noted.
	Noted []string `json:"-"`
	// Lacking, of a way back alone: the table may lack rows that the new one has, which
	// migrations behind the fence wrote or which do not fit.
	Lacking  bool `json:"-"`
	Unlogged bool `json:"unlogged,omitempty"`
	// Rows holds a carried table's rows as COPY text, columns as in Columns.
	CarriedRows string `json:"carried_rows,omitempty"`
}

// Column says what a shadow column is filled with.
type Column struct {
	Shadow     string `json:"shadow"`
	Type       string `json:"type"`       // SQL text as in the shadow while it is built
	Expression string `json:"expression"` // SQL over the production row; cast to Type by assignment
	// Means is the expression as it was inferred or written, where Expression calls
	// the [Transform] that evaluates it under the settings it means.
	Means  string       `json:"means,omitempty"`
	Origin ColumnOrigin `json:"source"`
	// Volatile: made by the shadow's own default once per key, then kept by
	// replay and left out of hashes. Expression is empty.
	// On a way back the Expression, if there is one, is for rows that are new there.
	Volatile bool `json:"volatile,omitempty"`
	// AsText, of a way back alone: values go from one database to the other as text,
	// since the one that they come from may not have the type, or another one by its name.
	AsText bool `json:"-"`
	// Uncompared, of a way back alone: left out of hashes, since the old value may be
	// one that cannot be made of the new one.
	Uncompared bool `json:"-"`
	// Alike, of a key's column on a way back alone: the old value may be spelt otherwise
	// than the one that comes back, as 1.5 is beside 1.50. Hashes are of what both are.
	Alike bool `json:"-"`
	// Looks: the expression reads other tables too, those of the table's Watches.
	Looks bool `json:"looks_up,omitempty"`
	// Generated columns are never written and left out of hashes.
	Generated bool `json:"generated,omitempty"`
	Identity  bool `json:"identity,omitempty"`
	// Kept, on a way back: the upgraded structure has nothing that the column comes
	// from, so rows that the old side has keep their value; Expression is for new
	// rows, which get the column's default where it is empty.
	Kept bool `json:"kept,omitempty"`
	// Loss, on a way back, is what may not come back as it was, after "values that".
	Loss string `json:"loss,omitempty"`
	// Held: rows of production held such values when this was planned.
	Held bool `json:"held,omitempty"`
	// Spared: none of them did, all were asked, and the upgraded table holds no such value.
	Spared bool `json:"spared,omitempty"`
}

// ColumnOrigin is how an expression was found.
type ColumnOrigin string

// The origins.
const (
	FromLineage  ColumnOrigin = "lineage"
	FromUsing    ColumnOrigin = "using"
	FromBackfill ColumnOrigin = "backfill"
	FromDefault  ColumnOrigin = "default"
	FromPlan     ColumnOrigin = "plan"
	FromInverse  ColumnOrigin = "inverse" // of a way back: the exact inverse of the way there
)

// Pair is a key column on both sides: shadow.Shadow holds Expression of the
// production key, cast to Type.
type Pair struct {
	Production string `json:"production"`
	Shadow     string `json:"shadow"`
	Expression string `json:"expression"`
	Type       string `json:"type"`
	Equals     string `json:"equals"` // of the shadow's type
	// Refused, of a way back alone, is a condition over the new key's value, {}, that is
	// true where the old column cannot hold it: such a row has never been there. Empty:
	// each value fits.
	Refused string `json:"-"`
}

// Watch says that a change of Source touches those rows of a derived table
// whose columns Shadow equal the source's columns Column. Of a copied table whose
// expressions look rows of Source up: those that Reach finds.
type Watch struct {
	Source  int         `json:"source"`
	Columns []WatchPair `json:"columns"`
	Reach   *Reach      `json:"reach,omitempty"`
}

// Reach finds the rows of a copied table's source that a change of another table
// concerns: those for which Where is true, SQL over the row by the name of its
// table, over the watch's columns of the changed row, old or new, by the name
// pgumbra_changed, and over the tables in From.
type Reach struct {
	From  []string `json:"from,omitempty"`
	Where string   `json:"where"`
}

// WatchPair is a source column and the derived column it equals.
type WatchPair struct {
	Column string `json:"column"`
	Shadow string `json:"shadow,omitempty"` // of a derived table
}
