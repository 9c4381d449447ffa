package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// applier is all that the statements of one shadow table are built from. It is a
// value: building text from it asks no server.
type applier struct {
	run     int64
	t       *plans.Table
	src     *plans.Source // nil: derived
	journal capture.Journal
	// frozen: the source takes no writes and has no journal.
	frozen    bool
	ancestors []ancestor
	watches   []watch
	lookups   []looked
	// members are the production relations whose storage must not change while
	// a batch reads them.
	members []uint32
	// collations of the shadow's columns, quoted: comparisons with values that
	// came from production name it, since two implicit collations conflict.
	collations map[string]string
	// types of the shadow's columns by name, where rows come from another database.
	types map[string]pg.ColumnType
	// landing: seen from the shadow, when that is another database; see landed.
	landing bool
	// own begins the names of ours that the user's expressions could see.
	own string
	// remote: the shadow is on another server, or might be.
	remote bool
	// heavy: a row may take a gigabyte, packed as it is stored, and cannot be one
	// value then.
	heavy bool
	// touching is held by who proves touched keys: a second one would do the same.
	touching *sync.Mutex
}

// ancestor is a parent by INHERITS: its statements change rows of this table
// but are journalled with the parent.
type ancestor struct {
	journal capture.Journal
	keys    []string // this table's key columns as expressions over a row of that journal
}

// looked is a table that the expressions of a copied one read: a change of it
// concerns the rows that reach finds.
type looked struct {
	journal capture.Journal
	columns []string // of the table, that reach compares
	entries []string // journal columns that hold them
	reach   plans.Reach
}

// watch is one way in which changes of a source reach rows of a derived table.
type watch struct {
	journal capture.Journal
	columns []watched
}

type watched struct {
	entry string // journal column
	cast  string // type to compare in; empty: as it is
	// integer is the type of an entry that is not cast.
	integer string
	shadow  string // column of the derived table
	equals  string
}

// kind of a feed: how its journal is replayed.
type kind int

const (
	static  kind = iota // nothing to replay
	keyed               // one state for each key
	keyless             // a multiset of row images
	derived             // rows of a query, by the values that reach them
)

func (f *applier) kind() kind {
	switch {
	case f.t.Feed == plans.Derived:
		return derived
	case f.t.Feed != plans.Copied:
		return static
	case f.src.Record == plans.RecordImage:
		return keyless
	}
	return keyed
}

// applier of a table, made once: neither plan nor structure changes during a run.
func (r *Replayer) applier(ctx context.Context, t *plans.Table) (*applier, error) {
	r.mu.Lock()
	f := r.appliers[t.N]
	r.mu.Unlock()
	if f != nil {
		return f, nil
	}
	f, err := newApplier(r.Run, t)
	if err != nil {
		return nil, err
	}
	if err := f.readShadow(ctx, r.Sides); err != nil {
		return nil, err
	}
	if err := f.weigh(ctx, r.Sides.Production); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.appliers == nil {
		r.appliers = make(map[int]*applier)
	}
	r.appliers[t.N] = f
	return f, nil
}

// readShadow asks the shadow for what the plan does not hold.
func (f *applier) readShadow(ctx context.Context, sides control.Sides) (err error) {
	f.remote = sides.Remote()
	if f.collations, err = collations(ctx, sides.Shadow, f.t.Shadow); err != nil || !f.remote {
		return err
	}
	columns, err := pg.ColumnTypes(ctx, sides.Shadow, f.t.Shadow)
	f.types = make(map[string]pg.ColumnType)
	for _, c := range columns {
		f.types[c.Column] = c
	}
	return err
}

// weigh looks whether a row can be too large for one value: only where all long
// values of a table together take so much. It locks none of the user's tables,
// so that it may be asked behind the fence.
func (f *applier) weigh(ctx context.Context, production pg.Querier) error {
	err := production.QueryRow(ctx, `SELECT coalesce(pg_catalog.max(pg_catalog.pg_relation_size(c.reltoastrelid)), 0) >= $2
		FROM pg_catalog.pg_class AS c WHERE c.oid = ANY ($1) AND c.reltoastrelid <> 0`, f.members, plans.MostOfARow).Scan(&f.heavy)
	if err != nil {
		return fmt.Errorf("measure the long values of %s: %w", f.t.Shadow, err)
	}
	return nil
}

func newApplier(run *control.Run, t *plans.Table) (*applier, error) {
	f := &applier{run: run.ID, t: t, touching: new(sync.Mutex)}
	var err error
	switch t.Feed {
	case plans.Copied:
		err = f.copied(run)
	case plans.Derived:
		err = f.derived(run)
	}
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", t.Shadow, err)
	}
	f.own = unused(append(columnNames(f.src), f.base()))
	return f, nil
}

func (f *applier) copied(run *control.Run) error {
	sources := run.Plan.Sources
	if f.t.Source < 0 || f.t.Source >= len(sources) {
		return fmt.Errorf("the plan has no source %d", f.t.Source)
	}
	f.src = &sources[f.t.Source]
	f.journal = capture.JournalOf(run, f.src)
	f.frozen = f.src.Frozen
	f.addMembers(f.src)
	if f.src.Record == plans.RecordImage {
		return nil
	}
	for _, k := range f.src.Key {
		if _, ok := f.pair(k.Name); !ok {
			return fmt.Errorf("no shadow column holds the key column %s", k.Name)
		}
	}
	for _, n := range f.src.Ancestors {
		if err := f.addAncestor(run, &sources[n]); err != nil {
			return err
		}
	}
	for _, w := range f.t.Watches {
		if err := f.addLookup(run, &sources[w.Source], w); err != nil {
			return err
		}
	}
	return nil
}

func (f *applier) addLookup(run *control.Run, src *plans.Source, w plans.Watch) error {
	f.addMembers(src)
	if src.Frozen {
		return nil
	}
	l := looked{journal: capture.JournalOf(run, src), reach: *w.Reach}
	for _, c := range w.Columns {
		entry := l.journal.ColumnOf(c.Column)
		if entry == "" {
			return fmt.Errorf("the journal of %s does not hold column %s", src.Name, c.Column)
		}
		l.columns, l.entries = append(l.columns, c.Column), append(l.entries, entry)
	}
	f.lookups = append(f.lookups, l)
	return nil
}

// looksUp reports whether rows of a journal's table are looked up by others.
func (f *applier) looksUp(journal int) bool {
	return slices.ContainsFunc(f.lookups, func(l looked) bool { return l.journal.N == journal })
}

func (f *applier) addAncestor(run *control.Run, src *plans.Source) error {
	if src.Frozen {
		return nil
	}
	a := ancestor{journal: capture.JournalOf(run, src)}
	for _, k := range f.src.Key {
		column := a.journal.ColumnOf(k.Name)
		switch {
		case column != "":
			a.keys = append(a.keys, "j."+column)
		case slices.Contains(a.journal.Image, k.Name):
			a.keys = append(a.keys, "(j.img)."+pg.Ident(k.Name))
		default:
			return fmt.Errorf("the journal of %s does not hold the key column %s", src.Name, k.Name)
		}
	}
	f.ancestors = append(f.ancestors, a)
	return nil
}

func (f *applier) derived(run *control.Run) error {
	sources := run.Plan.Sources
	for _, w := range f.t.Watches {
		f.addMembers(&sources[w.Source])
		// A statement on a parent by INHERITS is journalled with the parent.
		for _, n := range append([]int{w.Source}, sources[w.Source].Ancestors...) {
			if err := f.addWatch(run, &sources[n], w.Columns); err != nil {
				return err
			}
		}
	}
	for i := range sources { // the query may read any frozen table
		if sources[i].Frozen {
			f.addMembers(&sources[i])
		}
	}
	return nil
}

func (f *applier) addWatch(run *control.Run, src *plans.Source, columns []plans.WatchPair) error {
	if src.Frozen {
		return nil
	}
	made := watch{journal: capture.JournalOf(run, src)}
	for _, c := range columns {
		one, err := f.watched(made.journal, src, c)
		if err != nil {
			return err
		}
		made.columns = append(made.columns, one)
	}
	f.watches = append(f.watches, made)
	return nil
}

func (f *applier) watched(j capture.Journal, src *plans.Source, c plans.WatchPair) (watched, error) {
	entry := j.ColumnOf(c.Column)
	column, ok := f.column(c.Shadow)
	if entry == "" || !ok {
		return watched{}, fmt.Errorf("%s.%s does not reach column %s", src.Name, c.Column, c.Shadow)
	}
	one := watched{entry: entry, cast: column.Type, shadow: c.Shadow, equals: "="}
	for _, k := range f.t.Key {
		if k.Shadow == c.Shadow && k.Equals != "" {
			one.equals = k.Equals
		}
	}
	// A bigint that no row of the derived table holds must not fail on its way
	// to integer; integers of all widths compare with each other.
	if integer(column.Type) && integer(typeOf(src, c.Column)) {
		one.cast, one.equals, one.integer = "", "OPERATOR(pg_catalog.=)", typeOf(src, c.Column)
	}
	return one, nil
}

func (f *applier) addMembers(src *plans.Source) {
	for _, m := range src.Members {
		if m.Leaf && !slices.Contains(f.members, m.OID) {
			f.members = append(f.members, m.OID)
		}
	}
	if len(src.Members) == 0 {
		f.members = append(f.members, src.OID)
	}
}

// journals that feed the table: a row in any of them may be news to it.
func (f *applier) journals() []capture.Journal {
	var all []capture.Journal
	if f.src != nil && !f.frozen {
		all = append(all, f.journal)
	}
	for _, a := range f.ancestors {
		all = append(all, a.journal)
	}
	var others []capture.Journal
	for _, w := range f.watches {
		others = append(others, w.journal)
	}
	for _, l := range f.lookups {
		others = append(others, l.journal)
	}
	for _, o := range others {
		if !slices.ContainsFunc(all, func(j capture.Journal) bool { return j.N == o.N }) {
			all = append(all, o)
		}
	}
	return all
}

// base is the name under which the user's expressions know the row set they
// are evaluated over.
func (f *applier) base() string {
	if f.src != nil {
		return f.src.Name.Name
	}
	return "q"
}

// written are the columns that copy and replay fill; the others fill themselves.
func (f *applier) written() []plans.Column {
	return slices.DeleteFunc(slices.Clone(f.t.Columns), func(c plans.Column) bool {
		return c.Generated || c.Volatile || c.Expression == ""
	})
}

// fresh are the columns that new rows get: those of rows that are there already and
// keep them, too, where there is an expression for it.
func (f *applier) fresh() []plans.Column {
	if f.landing {
		return f.written()
	}
	return slices.DeleteFunc(slices.Clone(f.t.Columns), func(c plans.Column) bool { return c.Generated || c.Expression == "" })
}

// compared are the columns that verification looks at. Rows that no key tells apart
// are known by all of them.
func (f *applier) compared() []plans.Column {
	if f.byImage() {
		return f.written()
	}
	return slices.DeleteFunc(f.written(), func(c plans.Column) bool { return c.Uncompared })
}

// volatile columns were made once for each key and keep their value.
func (f *applier) volatile() []plans.Column {
	return slices.DeleteFunc(slices.Clone(f.t.Columns), func(c plans.Column) bool { return c.Generated || !c.Volatile })
}

func (f *applier) column(shadow string) (plans.Column, bool) {
	for _, c := range f.t.Columns {
		if c.Shadow == shadow {
			return c, true
		}
	}
	return plans.Column{}, false
}

// pair of a production key column.
func (f *applier) pair(production string) (plans.Pair, bool) {
	for _, p := range f.t.Key {
		if p.Production == production {
			return p, true
		}
	}
	return plans.Pair{}, false
}

// pairs in the order of the key that replay goes by: the source's, or a
// derived table's own.
func (f *applier) pairs() []plans.Pair {
	if f.src == nil {
		return f.t.Key
	}
	var all []plans.Pair
	for _, k := range f.src.Key {
		if p, ok := f.pair(k.Name); ok {
			all = append(all, p)
		}
	}
	return all
}

func columnNames(src *plans.Source) []string {
	if src == nil {
		return nil
	}
	var names []string
	for _, c := range src.Columns {
		names = append(names, c.Name)
	}
	return names
}

func typeOf(src *plans.Source, column string) string {
	for _, c := range src.Columns {
		if c.Name == column {
			return c.Type
		}
	}
	return ""
}

func integer(sqlType string) bool {
	switch strings.TrimPrefix(sqlType, "pg_catalog.") {
	case "smallint", "integer", "bigint", "int2", "int4", "int8":
		return true
	}
	return false
}

// unused is a beginning that none of the names has.
func unused(names []string) string {
	own := "umbra"
	for slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, own) }) {
		own += "_"
	}
	return own
}

func collations(ctx context.Context, db pg.Querier, table pg.Name) (map[string]string, error) {
	rows, err := db.Query(ctx, `SELECT a.attname::text, n.nspname::text, c.collname::text
		FROM pg_catalog.pg_attribute AS a
		JOIN pg_catalog.pg_collation AS c ON c.oid = a.attcollation
		JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace
		WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`, table.Quoted())
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	defer rows.Close()
	all := make(map[string]string)
	for rows.Next() {
		var column string
		var collation pg.Name
		if err := rows.Scan(&column, &collation.Schema, &collation.Name); err != nil {
			return nil, err
		}
		all[column] = collation.Quoted()
	}
	return all, rows.Err()
}
