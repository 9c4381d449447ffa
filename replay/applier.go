package replay

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// applier is all that the statements of one shadow table are built from. It is a
// value: building text from it asks no server. Its many methods are one dialect: each is
// a piece of text, made of others, and takes from the table what it needs; divided among
// keyed, keyless and derived tables each piece would stand three times.
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
	// onShadow: its statements run there and read what was staged, since production is
	// another database; see atShadow.
	onShadow bool
	// own begins the names of ours that the user's expressions could see.
	own string
	// remote: the shadow is on another server, or might be.
	remote bool
	// heavy: a row may take a gigabyte, packed as it is stored, and cannot be one
	// value then.
	heavy bool
	// respelt: the shadow's key tells values apart that production's calls equal, as
	// citext does a and A that become text.
	respelt bool
	// replaces is a condition on a value: it names what the swap replaces; see proved.
	replaces func(sqlType, value string) string
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
	if err := f.readSpelling(ctx, r.Sides.Production); err != nil {
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
		if own, ok := f.column(c.Column); ok && own.AsText {
			c.Sent, c.Binary = "text", true
		}
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

// readSpelling looks whether one key of production's may be several of the shadow's. It
// locks nothing, as weigh.
func (f *applier) readSpelling(ctx context.Context, production pg.Querier) error {
	if f.kind() != keyed {
		return nil
	}
	respelt, err := capture.Respelt(ctx, production, f.src.Name)
	f.respelt = slices.ContainsFunc(f.src.Key, func(k plans.KeyColumn) bool {
		return slices.Contains(respelt, k.Name) && !f.sameInShadow(k)
	})
	return err
}

func newApplier(run *control.Run, t *plans.Table) (*applier, error) {
	f := &applier{run: run.ID, t: t, replaces: run.Plan.Replaces, touching: new(sync.Mutex)}
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
