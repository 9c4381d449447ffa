package capture

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// target is a table to capture as the server has it: what the text of journals,
// functions and triggers is made of, each text by a method.
type target struct {
	Journal
	run     string // the run's name, for messages
	notOurs string // SQL: the session is none of the run's
	oid     uint32
	rowType string // SQL text of the table's row type
	columns []column
	members []plans.Member
	frozen  bool
	built   map[string]string // columns that migrations behind the fence rename, as they are called until then
	ahead   bool              // made before the swap with which it begins to record
	most    int64             // bytes of a partition whose rows are journalled when it comes or goes
	// sequenced: an older pgumbra made the journal, whose entries a sequence
	// numbers. That goes on: numbers of two kinds would have no order.
	sequenced bool
}

// column is a live column. Its type is SQL text with the collation, a domain
// resolved to what it stands for: a domain that is NOT NULL could not be left
// empty in an entry that tells of no row.
type column struct {
	name  string
	typ   string
	exact bool // equal values are the same bytes
	long  bool // its values may take kilobytes
	text  bool // octet_length knows its size without reading it
}

func (t *target) typeOf(name string) (string, error) {
	for _, c := range t.columns {
		if c.name == name {
			return c.typ, nil
		}
	}
	return "", fmt.Errorf("%s has no column %q", t.Table, name)
}

func (t *target) isExact(name string) bool {
	return slices.ContainsFunc(t.columns, func(c column) bool { return c.name == name && c.exact })
}

func (t *target) isTree() bool { return len(t.members) > 1 || t.Kind == plans.Partitioned }

// byRow reports whether each change must be journalled exactly once, row by
// row: a keyless partition tree, where a MERGE that moves a row to another
// partition shows it in no transition table.
func (t *target) byRow() bool { return t.isTree() && t.Record == plans.RecordImage }

func (t *target) memberOIDs() []uint32 { return oidsOf(t.members) }

func oidsOf(members []plans.Member) []uint32 {
	oids := make([]uint32, len(members))
	for i, m := range members {
		oids[i] = m.OID
	}
	return oids
}

//go:embed columns.sql
var columnsSQL string

// liveColumns are those of a table, by its oid.
const liveColumns = `SELECT a.attnum, a.attname, a.attcollation, a.atttypid AS typ, a.atttypmod AS typmod, a.attstorage
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped`

// Respelt are the columns of a table of which equal values may be other bytes: 1.0 is
// 1.00, and in some collations a is A. Locks nothing.
func Respelt(ctx context.Context, db pg.Querier, table pg.Name) ([]string, error) {
	columns, err := queryColumns(ctx, db, strings.Replace(liveColumns, "$1", "pg_catalog.to_regclass($1)", 1), table.Quoted())
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	var names []string
	for _, c := range columns {
		if !c.exact {
			names = append(names, c.name)
		}
	}
	return names, nil
}

// sourceTarget reads a source as production has it now and compares it with
// the plan: another table of that name, or other columns or partitions, would
// be captured wrongly.
func sourceTarget(ctx context.Context, db pg.Querier, run *control.Run, src *plans.Source) (*target, error) {
	t, err := readTarget(ctx, db, run, JournalOf(run, src), src.OID)
	if err != nil {
		return nil, err
	}
	t.frozen = src.Frozen
	if t.Record == plans.RecordImage && t.Kind == plans.Inherited && !t.frozen {
		return nil, fmt.Errorf("%s has parents or children and no key: its changes cannot be told apart", t.Table)
	}
	return t, t.agrees(src)
}

func (t *target) agrees(src *plans.Source) error {
	planned := make([]string, len(src.Columns))
	for i, c := range src.Columns {
		planned[i] = c.Name
	}
	live := make([]string, len(t.columns))
	for i, c := range t.columns {
		live[i] = c.name
	}
	if strings.Join(planned, "\x00") != strings.Join(live, "\x00") {
		return fmt.Errorf("%w: %s had columns %q when the plan was made and has %q", ErrChanged, t.Table, planned, live)
	}
	return nil
}

// sameMembers: partitions may come and go while the run follows; triggers are
// made on those that the plan knows.
func (t *target) sameMembers(src *plans.Source) error {
	known := map[uint32]bool{src.OID: true}
	for _, m := range src.Members {
		known[m.OID] = true
	}
	for _, m := range t.members {
		if !known[m.OID] {
			return fmt.Errorf("%w: %s is a partition of %s now and was not when the plan was made", ErrChanged, m.Name, t.Table)
		}
	}
	if len(known) != len(t.members) {
		return fmt.Errorf("%w: %s has %d partitions fewer than when the plan was made", ErrChanged, t.Table, len(known)-len(t.members))
	}
	return nil
}

// reverseTarget reads a shadow table by its name while the shadow is built.
func reverseTarget(ctx context.Context, db pg.Querier, run *control.Run, table *plans.Table) (*target, error) {
	var oid uint32
	err := db.QueryRow(ctx, `SELECT c.oid FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2`, table.Shadow.Schema, table.Shadow.Name).Scan(&oid)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", table.Shadow, err)
	}
	t, err := readTarget(ctx, db, run, Reverse(run, table), oid)
	if err == nil {
		t.rename(run.Plan.AfterFence(table))
	}
	return t, err
}

// rename lets the functions find the columns as they are called once they record: the
// triggers go along with a column that migrations behind the fence rename, the text of
// functions does not.
func (t *target) rename(after *plans.AfterFence) {
	if after == nil {
		return
	}
	t.built = map[string]string{}
	for i := range t.columns {
		was := t.columns[i].name
		if now, there := after.Renamed[was]; there && now != was {
			t.columns[i].name, t.built[now] = now, was
		}
	}
}

// builtName is a column as a trigger made now has to call it.
func (t *target) builtName(column string) string {
	if was, renamed := t.built[column]; renamed {
		return was
	}
	return column
}

// oldTarget reads one of production's tables by the name that it has as the old side.
func oldTarget(ctx context.Context, db pg.Querier, run *control.Run, src *plans.Source) (*target, error) {
	j := JournalOf(run, src)
	j.Table = run.Plan.Old(src.Name)
	t, err := readTarget(ctx, db, run, j, src.OID)
	if err == nil {
		err = t.sameMembers(src)
	}
	if err != nil {
		return nil, err
	}
	t.frozen, t.ahead = src.Frozen, true
	return t, t.agrees(src)
}

func readTarget(ctx context.Context, db pg.Querier, run *control.Run, j Journal, oid uint32) (*target, error) {
	t := &target{Journal: j, run: run.Name, notOurs: control.NotOurs(run), oid: oid, most: limitOf(run) / 4}
	if err := t.readMembers(ctx, db); err != nil {
		return nil, fmt.Errorf("read the partitions of %s: %w", j.Table, err)
	}
	if len(t.members) == 0 || t.members[0].Name != j.Table {
		return nil, fmt.Errorf("%w: %s is not the table any more that the plan was made for", ErrChanged, j.Table)
	}
	if err := t.readColumns(ctx, db); err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", j.Table, err)
	}
	return t, t.readNumbering(ctx, db)
}

// readMembers reads the partition tree, root first; of other tables the table.
func (t *target) readMembers(ctx context.Context, db pg.Querier) error {
	rows, err := db.Query(ctx, `SELECT c.oid, n.nspname, c.relname, c.relkind <> 'p', c.reltype::pg_catalog.regtype::text
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = $1 OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree($1))
		ORDER BY c.oid <> $1, c.oid`, t.oid)
	if err != nil {
		return err
	}
	var m plans.Member
	var rowType string
	_, err = pgx.ForEachRow(rows, []any{&m.OID, &m.Name.Schema, &m.Name.Name, &m.Leaf, &rowType}, func() error {
		if len(t.members) == 0 {
			t.rowType = rowType
		}
		t.members = append(t.members, m)
		return nil
	})
	return err
}

func (t *target) readColumns(ctx context.Context, db pg.Querier) (err error) {
	t.columns, err = queryColumns(ctx, db, liveColumns, t.oid)
	return err
}

// queryColumns reads columns, which the text of a subquery names.
func queryColumns(ctx context.Context, db pg.Querier, which string, args ...any) ([]column, error) {
	rows, err := db.Query(ctx, strings.Replace(columnsSQL, "{columns}", which, 1), args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c column, err error) {
		err = row.Scan(&c.name, &c.typ, &c.exact, &c.long, &c.text)
		return c, err
	})
}
