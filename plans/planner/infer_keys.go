package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// chooseKeys says what rows are known by on both sides.
func (m *keying) chooseKeys() error {
	m.numberSources()
	for _, d := range m.tables {
		m.pairKey(d)
	}
	m.markKeyEntries()
	return nil
}

// numberSources chooses each source's key and record, and numbers them in the
// order of their names.
func (m *keying) numberSources() {
	m.watchSources()
	var all []*sourceDraft
	for _, s := range m.sources {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *sourceDraft) int {
		return strings.Compare(a.production.Name.Quoted(), b.production.Name.Quoted())
	})
	for _, s := range all {
		m.chooseKey(s)
	}
	m.matchInheritance(all)
	for n, s := range all {
		m.fillSource(s, n)
	}
	for _, s := range all {
		s.plan.Ancestors = m.ancestors(s)
		m.plan.Sources = append(m.plan.Sources, s.plan)
		for _, d := range s.tables {
			d.plan.Source = s.plan.N
		}
	}
	m.fillWatches()
}

// chooseKey takes the unique index that all tables fed from the source carry,
// the primary key first. Where only a deferrable one exists, the journal can
// tell of a key twice, so the rows are read again.
func (m *keying) chooseKey(s *sourceDraft) {
	s.plan.Record = plans.RecordRow
	for _, d := range s.tables {
		if d.rules.Record != "" {
			s.plan.Record = d.rules.Record
		}
	}
	usable := m.keyCandidates(s.production, (*catalog.Index).Usable)
	deferrable := m.keyCandidates(s.production, (*catalog.Index).Deferrable)
	for _, list := range [][]*catalog.Index{usable, deferrable} {
		if i := m.bestKey(s, list); i != nil {
			s.index = i
			break
		}
	}
	switch {
	case s.index != nil && !s.index.Immediate:
		s.plan.Record = plans.RecordKey
		m.info("deferrable-key", s.production.Name.String(), "its only key is deferrable: changed rows are read again from production", "")
	case s.index == nil && len(usable)+len(deferrable) > 0:
		m.keyNotCarried(s, append(usable, deferrable...)[0])
	case s.index == nil:
		m.keyless(s)
	}
}

func (m *keying) keyNotCarried(s *sourceDraft, i *catalog.Index) {
	s.index = i
	for _, d := range s.tables {
		pairs, missing := m.pairs(d, s.production, i)
		_, unique := m.shadowIndex(d, pairs)
		switch {
		case missing != "":
			m.keyColumnGone(s, d, missing)
		case !unique && !m.oneToOne(d, s.production, pairs):
			m.opaque("key-not-carried", d.after.Name.String(), m.naming(d.after.Name.Name, shadowColumns(pairs)[0]), fmt.Sprintf("the expressions over %s's key may make one of two, and no unique index of the upgraded table forbids it", s.production.Name),
				"add a unique index on "+strings.Join(shadowColumns(pairs), ", ")+" in a migration")
		}
	}
}

// keyColumnGone tells why a column of the key is not in the upgraded row. One
// that is there, but what it holds cannot be inferred, has a blocker already.
func (m *keying) keyColumnGone(s *sourceDraft, d *tableDraft, missing string) {
	from, _ := s.before.ColumnNamed(missing)
	c, there := d.final.Column(from.Num)
	if d.after.OID != s.before.OID {
		c, there = d.final.ColumnNamed(missing)
	}
	message := fmt.Sprintf("no column of the upgraded table holds %s of %s's key", missing, s.production.Name)
	where := m.naming(missing)
	if there {
		i := slices.IndexFunc(d.plan.Columns, func(p plans.Column) bool { return p.Shadow == c.Name })
		if _, told := d.feed.Columns[c.Num]; !told && d.plan.Columns[i].Origin != plans.FromPlan {
			return
		}
		message = fmt.Sprintf("column %s of the upgraded table is not %s of %s's key any more: it holds %s", c.Name, missing, s.production.Name, d.plan.Columns[i].Describe())
		where = m.naming(c.Name)
	}
	m.opaque("key-not-carried", d.after.Name.String(), where, message+", so a changed row cannot be found again",
		"keep the key column, or add a unique column to production that the upgraded table keeps")
}

// keyless: a multiset of rows tells no row from its twin. Values that a default
// makes (serial, random) are made once and kept as long as the row is: which of
// two equal rows has which number is nobody's to know, in place neither.
func (m *keying) keyless(s *sourceDraft) {
	s.plan.Record = plans.RecordImage
	if s.frozen && len(s.tables) == 0 {
		return
	}
	m.info("keyless", s.production.Name.String(), "the table has no usable key: it is copied in one snapshot and its changes are replayed as whole rows",
		"a primary key makes copying and replay faster")
	if s.before.Kind != "p" && m.kind(m.before, s.before) == plans.Inherited {
		m.blocker("inheritance-key", s.production.Name.String(), "a table with parents or children by INHERITS needs a key: a statement on the parent shows the children's rows without their columns", "add the parent's key to it")
	}
}

func (m *keying) keyCandidates(t *catalog.Table, fit func(*catalog.Index, *catalog.Table) bool) []*catalog.Index {
	var all []*catalog.Index
	for _, i := range m.production.IndexesOf(t.OID) {
		if fit(i, t) {
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(a, b *catalog.Index) int {
		if a.Primary != b.Primary {
			if a.Primary {
				return -1
			}
			return 1
		}
		return len(a.Keys) - len(b.Keys)
	})
	return all
}

// bestKey: the first key that each table has a unique index for, else the
// first whose columns are carried at all.
func (m *keying) bestKey(s *sourceDraft, candidates []*catalog.Index) *catalog.Index {
	var carried *catalog.Index
	for _, i := range candidates {
		served, all := true, true
		for _, d := range s.tables {
			pairs, missing := m.pairs(d, s.production, i)
			_, unique := m.shadowIndex(d, pairs)
			all = all && missing == "" && (unique || m.oneToOne(d, s.production, pairs))
			served = served && unique
		}
		if all && served {
			return i
		}
		if all && carried == nil {
			carried = i
		}
	}
	return carried
}

// pairs finds for each key column the shadow column that holds it; missing is
// the first that has none.
func (m *keying) pairs(d *tableDraft, production *catalog.Table, i *catalog.Index) (pairs []plans.Pair, missing string) {
	for _, k := range i.Keys {
		source, _ := production.Column(k.Num)
		c, ok := carrier(d, production, source.Name)
		if !ok {
			return pairs, source.Name
		}
		pairs = append(pairs, plans.Pair{Production: source.Name, Shadow: c.Shadow, Expression: c.Expression, Type: c.Type,
			Equals: m.equality(d.final, c.Shadow)})
	}
	return pairs, ""
}

// carrier is the column that holds a production column: itself, cast at most,
// or else one that is computed from it alone.
func carrier(d *tableDraft, production *catalog.Table, name string) (plans.Column, bool) {
	for _, c := range d.plan.Columns {
		if !c.Generated && !c.Volatile && plainReference(c.Expression) == name {
			return c, true
		}
	}
	for _, c := range d.plan.Columns {
		if c.Generated || c.Volatile || c.Looks || c.Expression == "" {
			continue
		}
		if read := columnsRead(c.Expression, production); len(read) == 1 && read[0] == name {
			return c, true
		}
	}
	return plans.Column{}, false
}

// oneToOne: no two keys of production can become one in the shadow, by what the
// expressions are. Where that is not known, a unique index must prove it.
func (m *keying) oneToOne(d *tableDraft, production *catalog.Table, pairs []plans.Pair) bool {
	return !slices.ContainsFunc(pairs, func(p plans.Pair) bool {
		from, _ := production.ColumnNamed(p.Production)
		to, _ := d.after.ColumnNamed(p.Shadow)
		return plainReference(p.Expression) == "" || !injective(from.Type, to.Type)
	})
}

// injective: a cast that keeps different values different.
func injective(from, to string) bool {
	whole := []string{"smallint", "integer", "bigint", "numeric"}
	f, t := slices.Index(whole, from), slices.Index(whole, to)
	return from == to || f >= 0 && f < t || to == "text" || to == "character varying"
}

// equality is the equality of the column's own key index, else of its type.
func (m *keying) equality(t *catalog.Table, column string) string {
	c, _ := t.ColumnNamed(column)
	for _, i := range m.final.IndexesOf(t.OID) {
		for _, k := range i.Keys {
			if i.Unique && k.Num == c.Num && k.Equals != "" {
				return k.Equals
			}
		}
	}
	if e := m.typeEquals[c.TypeOID]; e != "" {
		return e
	}
	return "OPERATOR(pg_catalog.=)"
}

// shadowIndex is the shadow's index that serves the key: the unique one on just
// its columns, else one that begins with them.
func (m *keying) shadowIndex(d *tableDraft, pairs []plans.Pair) (best *catalog.Index, unique bool) {
	if d.final == nil || len(pairs) == 0 {
		return nil, false
	}
	var want []int16
	for _, p := range pairs {
		c, _ := d.final.ColumnNamed(p.Shadow)
		want = append(want, c.Num)
	}
	slices.Sort(want)
	for _, i := range m.final.IndexesOf(d.final.OID) {
		if i.Partial || i.Expression || i.Exclusion || len(i.Keys) < len(want) || i.Keys[0].Equals == "" {
			continue
		}
		var lead []int16
		for _, k := range i.Keys[:len(want)] {
			lead = append(lead, k.Num)
		}
		slices.Sort(lead)
		if !slices.Equal(lead, want) {
			continue
		}
		if exact := i.Unique && len(i.Keys) == len(want); exact && (!unique || i.Primary) {
			best, unique = i, true
		} else if !unique && (best == nil || i.Unique && !best.Unique) {
			best = i
		}
	}
	return best, unique
}

// pairKey writes a table's key, the index that serves it, and how rows go in.
func (m *keying) pairKey(d *tableDraft) {
	switch d.plan.Feed {
	case plans.Copied:
		if d.source.index == nil {
			m.lookupsNeedKey(d)
			return
		}
		pairs, missing := m.pairs(d, d.source.production, d.source.index)
		if missing != "" {
			return // a blocker says so
		}
		d.plan.Key = pairs
	case plans.Derived:
		d.plan.Key = m.derivedKey(d)
	default:
		return
	}
	index, unique := m.shadowIndex(d, d.plan.Key)
	d.index = index
	if index == nil {
		m.noKeyIndex(d)
		return
	}
	d.plan.SoleKey = m.onlyUnique(d, index)
	d.plan.Upsert = unique && index.Immediate && d.plan.SoleKey && !slices.ContainsFunc(d.final.Columns, func(c catalog.Column) bool { return c.Identity == "a" })
}

func shadowColumns(pairs []plans.Pair) []string {
	var all []string
	for _, p := range pairs {
		all = append(all, p.Shadow)
	}
	return all
}

// onlyUnique: no other unique or exclusion index can be violated between two
// rows of one statement; of a partition tree, none of any member either.
func (m *keying) onlyUnique(d *tableDraft, key *catalog.Index) bool {
	family := map[uint32]bool{key.OID: true}
	for grown := true; grown; {
		grown = false
		for _, i := range m.final.Indexes {
			if family[i.Parent] && !family[i.OID] {
				family[i.OID], grown = true, true
			}
		}
	}
	return !slices.ContainsFunc(m.final.Indexes, func(i *catalog.Index) bool {
		t := m.final.ByOID(i.Table)
		mine := i.Table == d.final.OID || t != nil && t.PartitionOf == d.final.OID
		return mine && (i.Unique || i.Exclusion) && !family[i.OID]
	})
}

// derivedKey is the derived table's own: its primary key, or a usable unique index.
func (m *keying) derivedKey(d *tableDraft) []plans.Pair {
	var best *catalog.Index
	for _, i := range m.final.IndexesOf(d.final.OID) {
		if i.Usable(d.final) && (best == nil || i.Primary) {
			best = i
		}
	}
	if best == nil {
		m.find(plans.Finding{Level: plans.Blocker, Code: "derived-keyless", Object: d.after.Name.String(), Where: m.file.WhereLine(d.rules.Line),
			Message: "a derived table needs a primary key or a unique index on NOT NULL columns", Fix: "add one in a migration"})
		return []plans.Pair{}
	}
	pairs := []plans.Pair{}
	for _, k := range best.Keys {
		c, _ := d.final.Column(k.Num)
		pairs = append(pairs, plans.Pair{Shadow: c.Name, Expression: pg.Ident(c.Name), Type: c.Type, Equals: k.Equals})
	}
	return pairs
}

// markKeyEntries puts the key's index, with those of all partitions, in the
// stage of its own.
func (m *keying) markKeyEntries() {
	for _, d := range m.tables {
		if d.index == nil {
			continue
		}
		for _, i := range m.family(d.index) {
			for n := range m.plan.Entries {
				e := &m.plan.Entries[n]
				makes := e.Class == pgClass && e.OID == i.OID || e.Class == pgConstraint && i.Constraint != 0 && e.OID == i.Constraint
				if makes && i == d.index {
					d.plan.KeyIndex = e.TOC
				}
				if makes || e.Tag == "INDEX ATTACH" && e.Name == i.Name {
					e.Stage = plans.StageKey
				}
			}
		}
	}
}

// family is an index with those of the partitions below it.
func (m *keying) family(index *catalog.Index) []*catalog.Index {
	all := []*catalog.Index{index}
	for _, i := range m.final.Indexes {
		if i.Parent == index.OID {
			all = append(all, m.family(i)...)
		}
	}
	return all
}
