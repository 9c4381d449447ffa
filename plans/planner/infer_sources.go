package planner

import (
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// fillSource writes down a production table.
func (m *keying) fillSource(s *sourceDraft, n int) {
	t, p := s.production, &s.plan
	p.N, p.Name, p.OID, p.Kind = n, t.Name, t.OID, m.kind(m.production, t)
	p.Frozen, p.Unlogged = s.frozen, t.Persistence == "u"
	p.Columns, p.Key = []plans.SourceColumn{}, []plans.KeyColumn{}
	for _, c := range t.Columns {
		p.Columns = append(p.Columns, plans.SourceColumn{Name: c.Name, Type: c.Type, Generated: c.Generated != "", NotNull: c.NotNull})
	}
	if s.index != nil {
		for _, k := range s.index.Keys {
			c, _ := t.Column(k.Num)
			p.Key = append(p.Key, plans.KeyColumn{Name: c.Name, Type: c.Type, Collation: k.Collation, Equals: k.Equals})
		}
	}
	if p.Kind == plans.Inherited && len(p.Key) > 0 {
		p.Record = plans.RecordKey
	}
	slices.Sort(s.tracked)
	for _, c := range slices.Compact(s.tracked) {
		if !slices.ContainsFunc(p.Key, func(k plans.KeyColumn) bool { return k.Name == c }) {
			p.Tracked = append(p.Tracked, c)
		}
	}
	m.members(s)
}

// members lists the partition tree, root first, and adds up its size.
func (m *keying) members(s *sourceDraft) {
	p := &s.plan
	tree := []*catalog.Table{s.production}
	for _, t := range m.production.Tables {
		if t.PartitionOf == s.production.OID {
			tree = append(tree, t)
		}
	}
	for _, t := range tree {
		p.Members = append(p.Members, plans.Member{Name: t.Name, OID: t.OID, Leaf: t.Kind == "r"})
		if t.Kind == "r" {
			p.Rows += t.Rows
			p.Bytes += t.Bytes
		}
		if t.Kind == "f" {
			m.blocker("foreign-partition", t.Name.String(), "this partition of "+s.production.Name.String()+" is a foreign table: no trigger can capture what its server changes",
				"detach it before the upgrade, or skip the table")
		}
	}
}

// matchInheritance: an entry on the parent touches its key in each descendant,
// so all must have the parent's key.
func (m *keying) matchInheritance(all []*sourceDraft) {
	for _, s := range all {
		for _, a := range all {
			if s == a || s.index == nil || a.index == nil || !m.descends(s.production, a.production.OID) {
				continue
			}
			if i := m.sameKey(s.production, m.keyNames(a)); i != nil {
				s.index = i
				continue
			}
			m.blocker("inheritance-key", s.production.Name.String(), "it inherits from "+a.production.Name.String()+" but has no key on the same columns: "+strings.Join(m.keyNames(a), ", "),
				"add that key to it")
		}
	}
}

func (m *keying) keyNames(s *sourceDraft) []string {
	var names []string
	for _, k := range s.index.Keys {
		c, _ := s.production.Column(k.Num)
		names = append(names, c.Name)
	}
	return names
}

func (m *keying) sameKey(t *catalog.Table, names []string) *catalog.Index {
	for _, i := range m.keyCandidates(t, (*catalog.Index).Usable) {
		var have []string
		for _, k := range i.Keys {
			c, _ := t.Column(k.Num)
			have = append(have, c.Name)
		}
		if slices.Equal(have, names) {
			return i
		}
	}
	return nil
}

// descends reports whether a table inherits, at whatever distance, from another.
func (m *keying) descends(t *catalog.Table, from uint32) bool {
	if t == nil || t.IsPartition() {
		return false
	}
	return slices.ContainsFunc(t.Parents, func(p uint32) bool {
		return p == from || m.descends(m.production.ByOID(p), from)
	})
}

func (m *keying) ancestors(s *sourceDraft) []int {
	var all []int
	for _, a := range m.sources {
		if a != s && m.descends(s.production, a.production.OID) {
			all = append(all, a.plan.N)
		}
	}
	slices.Sort(all)
	return all
}

// watchSources makes sources of the tables that derived ones are computed from,
// and notes the columns whose old values must be journalled.
func (m *keying) watchSources() {
	for _, d := range m.tables {
		m.trackLookups(d)
		if d.plan.Feed != plans.Derived {
			continue
		}
		for _, k := range d.rules.Key {
			b := m.before.ByName(k.Source)
			if b == nil || !b.HoldsRows() {
				m.find(plans.Finding{Level: plans.Blocker, Code: "table-unknown", Object: k.Source.String(), Where: m.file.WhereLine(k.Line),
					Message: "production has no table of this name", Fix: "correct the name under key:"})
				continue
			}
			s := m.source(b.OID)
			for _, p := range k.Pairs {
				s.tracked = append(s.tracked, p.Column)
				m.checkWatch(d, b, k, p)
			}
		}
	}
}

func (m *keying) checkWatch(d *tableDraft, b *catalog.Table, k planfile.KeyRule, p plans.WatchPair) {
	_, source := b.ColumnNamed(p.Column)
	_, shadow := d.final.ColumnNamed(p.Shadow)
	if source && shadow {
		return
	}
	missing := k.Source.String() + "." + p.Column
	if source {
		missing = d.after.Name.String() + "." + p.Shadow
	}
	m.find(plans.Finding{Level: plans.Blocker, Code: "transform-invalid", Object: missing, Where: m.file.WhereLine(k.Line),
		Message: "there is no such column", Fix: "correct key: {" + k.Source.String() + ": {column: derived column}}"})
}

func (m *keying) fillWatches() {
	for _, d := range m.tables {
		m.watchLookups(d)
		if d.plan.Feed != plans.Derived {
			continue
		}
		for _, k := range d.rules.Key {
			b := m.before.ByName(k.Source)
			if b == nil || m.sources[m.before.Root(b).OID] == nil {
				continue
			}
			d.plan.Watches = append(d.plan.Watches, plans.Watch{Source: m.sources[m.before.Root(b).OID].plan.N, Columns: k.Pairs})
			if d.plan.Production.IsZero() {
				d.plan.Production = k.Source
			}
		}
	}
}
