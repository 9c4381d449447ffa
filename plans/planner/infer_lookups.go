package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// lookups are the other tables that a copied table's expressions read, without
// those of what the plan file describes by hand.
func (d *tableDraft) lookups() []syntax.Lookup {
	if d.plan.Feed != plans.Copied || !d.fed {
		return nil
	}
	return d.feed.Lookups
}

// trackLookups makes sources of them, and notes the columns whose old values must
// be journalled.
func (m *maker) trackLookups(d *tableDraft) {
	for _, l := range d.lookups() {
		b := m.before.ByOID(l.Source)
		if !m.moving(b.Name.Schema) {
			m.opaque("lookup-outside", d.after.Name.String(), m.naming(d.after.Name.Name, b.Name.Name),
				fmt.Sprintf("its rows are computed from %s, whose schema is not in production.schemas", b.Name), "add "+b.Name.Schema+" to production.schemas")
			continue
		}
		s := m.source(b.OID)
		s.tracked = append(s.tracked, l.Columns...)
	}
}

// watchLookups tells which rows a change of these tables concerns.
func (m *maker) watchLookups(d *tableDraft) {
	for _, l := range d.lookups() {
		s := m.sources[l.Source]
		if s == nil {
			continue
		}
		w := plans.Watch{Source: s.plan.N, Reach: &plans.Reach{From: l.From, Where: l.Where}}
		for _, c := range l.Columns {
			w.Columns = append(w.Columns, plans.WatchPair{Column: c})
		}
		d.plan.Watches = append(d.plan.Watches, w)
		m.info("looked-up", d.after.Name.String(), fmt.Sprintf("its rows are computed from %s, too: a change of %s there is replayed for each row that it concerns, by %s",
			s.plan.Name, strings.Join(l.Columns, ", "), l.Where), "")
	}
}

// lookupsNeedKey: rows that a change of another table concerns are found again by
// their key.
func (m *maker) lookupsNeedKey(d *tableDraft) {
	if len(d.lookups()) == 0 {
		return
	}
	m.opaque("key-not-carried", d.after.Name.String(), m.naming(d.after.Name.Name),
		fmt.Sprintf("its rows are computed from other tables, too, and %s has no key by which those that a change there concerns are found", d.source.production.Name),
		"add a primary key to it")
}

// lookedUp are the tables that an inferred expression may read that looks rows up:
// the changes of all of them are watched for it.
func (m *maker) lookedUp(t *plans.Table) []pg.Name {
	names := []pg.Name{t.Production}
	for _, w := range t.Watches {
		names = append(names, m.plan.Sources[w.Source].Name)
	}
	return names
}

// filterReads are the tables that a table's filter may read: if it was inferred,
// and looks rows up.
func (m *maker) filterReads(t *plans.Table) []pg.Name {
	i := slices.IndexFunc(m.tables, func(d *tableDraft) bool { return d.plan.Final == t.Final })
	if i < 0 || !m.tables[i].feed.Looks || m.tables[i].feed.Where != t.Where {
		return nil
	}
	return m.lookedUp(t)
}
