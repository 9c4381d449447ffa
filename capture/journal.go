package capture

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Direction of capture, as pgumbra.captured spells it.
type Direction = plans.Direction

// The directions.
const (
	ToShadow = plans.Forward // production's changes, before the swap
	ToOld    = plans.Back    // the new tables' changes, from the swap on
)

// The operations a journal row tells of. Op is stored as "char".
const (
	OpInsert   = "i" // the key exists after the statement; keyless: one such row more
	OpUpdate   = "u" // the key exists after the statement
	OpDelete   = "d" // the key is gone, by DELETE or by an UPDATE of the key; keyless: one such row less
	OpTruncate = "t" // every row is gone, or every row of the partition Member
	OpOld      = "o" // only old values of tracked columns; means nothing to the row itself
)

// Journal describes where the changes of one table are recorded. It is a pure
// value: it is made from the plan and asks no server.
//
// A journal is a view over two tables of equal columns. Triggers write to one
// of the two; the other one is emptied once every reader's position is past its
// rows, so that no row is ever deleted one by one. Readers use the view.
//
// Columns: seq, xid, op, member, then k_<i> a key column, t_<i> a tracked
// column, and img, the row as the table's own row type, where rows are recorded.
// Of a statement that writes very many rows most entries have no img and share
// one seq, the statement's last; nor has a row that is too wide. Such a row is to
// be read from the table.
//
// seq orders the entries of one key: it is WAL's insert position, read while the
// writer holds the row's lock, and whoever gets the lock next reads a later one,
// since the commit before it wrote WAL. It draws on no sequence, so that a client's
// lastval() stays its own. Two sessions may read the same position: (seq, key)
// and (seq, xid) name one entry, seq alone does not.
type Journal struct {
	Run       int64
	N         int // of the source (forward) or of the shadow table (reverse)
	Direction Direction
	Table     pg.Name // the captured table; of a partition tree the root
	Kind      plans.Kind
	Record    plans.Record
	Keys      []string // captured column behind k_<i>
	Tracked   []string // captured column behind t_<i>
	Image     []string // captured columns that img holds; the others of its type are NULL
}

// JournalOf is the journal of one of the sources of a run's plan, of whichever
// direction that has.
func JournalOf(run *control.Run, src *plans.Source) Journal {
	j := Journal{Run: run.ID, N: src.N, Direction: ToShadow, Table: src.Name,
		Kind: src.Kind, Record: src.Record, Tracked: src.Tracked}
	if run.Plan.Backwards() {
		j.Direction = ToOld
	}
	for _, k := range src.Key {
		j.Keys = append(j.Keys, k.Name)
	}
	if j.HasImage() {
		for _, c := range src.Columns {
			j.Image = append(j.Image, c.Name)
		}
	}
	return j
}

// Reverse is the journal of a shadow table before the swap: the table goes by its
// name while the shadow is built. From then on it is a source of the way back, and
// this is its [JournalOf].
func Reverse(run *control.Run, t *plans.Table) Journal {
	back := &control.Run{ID: run.ID, Name: run.Name, Plan: &plans.Plan{Direction: plans.Back}}
	j := JournalOf(back, run.Plan.SourceAfterSwap(t))
	j.Table = t.Shadow
	return j
}

// Name is the view that readers use: all rows of both tables, in no order.
func (j Journal) Name() pg.Name { return own(j.base()) }

// Tables are the two tables behind the view.
func (j Journal) Tables() [2]pg.Name {
	return [2]pg.Name{own(j.base() + "_a"), own(j.base() + "_b")}
}

func (j Journal) base() string { return fmt.Sprintf("%s%d", j.viewPrefix(), j.N) }

// viewPrefix is what the names of all journals of a run and direction begin with.
func (j Journal) viewPrefix() string {
	if j.Direction == ToOld {
		return fmt.Sprintf("reverse_%d_", j.Run)
	}
	return fmt.Sprintf("journal_%d_", j.Run)
}

// sequence numbered the entries of journals that an older pgumbra made.
func sequence(run int64) pg.Name { return own(fmt.Sprintf("seq_%d", run)) }

// own is the name of an object of ours in the control schema.
func own(name string) pg.Name { return pg.Name{Schema: control.Schema, Name: name} }

// HasImage reports whether rows carry img.
func (j Journal) HasImage() bool { return j.Record != plans.RecordKey }

// K is the journal column of the i-th key column.
func (j Journal) K(i int) string { return fmt.Sprintf("k_%d", i) }

// T is the journal column of the i-th tracked column.
func (j Journal) T(i int) string { return fmt.Sprintf("t_%d", i) }

// ColumnOf is the journal column that holds a key or tracked column's value in
// every entry that tells of a row; "" if the journal has none.
func (j Journal) ColumnOf(column string) string {
	for i, k := range j.Keys {
		if k == column {
			return j.K(i)
		}
	}
	for i, t := range j.Tracked {
		if t == column {
			return j.T(i)
		}
	}
	return ""
}

// KeyColumns are the journal's key columns in the key's order.
func (j Journal) KeyColumns() []string {
	names := make([]string, len(j.Keys))
	for i := range j.Keys {
		names[i] = j.K(i)
	}
	return names
}

// Columns are all columns of the journal, in the order of the view and of both
// tables.
func (j Journal) Columns() []string {
	names := append([]string{"seq", "xid", "op", "member"}, j.KeyColumns()...)
	for i := range j.Tracked {
		names = append(names, j.T(i))
	}
	if j.HasImage() {
		names = append(names, "img")
	}
	return names
}

// Field is SQL text for one column of the recorded row, of a journal row that
// goes by alias: (j.img)."total". Only where [Journal.HasImage].
func (j Journal) Field(alias, column string) string {
	return "(" + alias + ".img)." + pg.Ident(column)
}

// Unread is SQL text of a predicate over journal rows: those that a reader at
// the given position has not applied. position is SQL text of a pg_snapshot,
// usually a parameter with its cast. The order of seq is not that of commits,
// so the test is visibility; its first half lets the block range index
// on xid serve, whose expression it repeats.
// What the reader's own snapshot does not see yet, its query leaves out by itself.
func Unread(position string) string { return UnreadOf("", position) }

// UnreadOf is [Unread] for journal rows that go by an alias.
func UnreadOf(alias, position string) string {
	xid := "xid"
	if alias != "" {
		xid = alias + ".xid"
	}
	return strings.NewReplacer("{xid}", xid, "{position}", position).Replace(
		"({xid}::pg_catalog.text::pg_catalog.int8) OPERATOR(pg_catalog.>=)" +
			" (pg_catalog.pg_snapshot_xmin({position})::pg_catalog.text::pg_catalog.int8)" +
			" AND NOT pg_catalog.pg_visible_in_snapshot({xid}, {position})")
}
