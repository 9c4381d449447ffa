package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/transforms"
)

// lookups are the other tables that a copied table's expressions read, without
// those of what the plan file describes by hand.
func (d *tableDraft) lookups() []transforms.Lookup {
	if d.plan.Feed != plans.Copied || !d.fed {
		return nil
	}
	return d.feed.Lookups
}

// trackLookups makes sources of them, and notes the columns whose old values must
// be journalled.
func (m *mapping) trackLookups(d *tableDraft) {
	for _, l := range d.lookups() {
		b := m.before.ByOID(l.Source)
		if !m.moving(b.Name.Schema) {
			m.opaque("outside-change", d.after.Name.String(), m.naming(d.after.Name.Name, b.Name.Name),
				fmt.Sprintf("its rows are computed from %s, whose schema is not in production.schemas", b.Name), "add "+b.Name.Schema+" to production.schemas")
			continue
		}
		s := m.source(b.OID)
		s.tracked = append(s.tracked, l.Columns...)
	}
}

// watchLookups tells which rows a change of these tables concerns.
func (m *mapping) watchLookups(d *tableDraft) {
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
		m.classifyLookup(d, s, l)
	}
}

const (
	// mostCompared is how many pairs of rows are compared where no index finds those
	// of the other table: more would take the copy longer than the migration itself.
	mostCompared = 50_000_000
	// mostRead is how many rows each batch may read for a change of the other table.
	mostRead = 1_000_000
	// mostAtOnce is how many rows may be computed again for one change.
	mostAtOnce = 100_000
)

// classifyLookup: rows of the other table are found by an index of production's, and
// those that a change concerns as well, or there are few.
func (m *mapping) classifyLookup(d *tableDraft, s *sourceDraft, l transforms.Lookup) {
	table, other := d.source.production, s.production
	if !m.indexedBy(other, l.Bare) && d.source.estimated()*s.estimated() > mostCompared {
		m.opaque("looked-up-unindexed", d.after.Name.String(), m.naming(d.after.Name.Name, other.Name.Name),
			fmt.Sprintf("for each row of it, %s would be read whole: no index of it begins with %s", other.Name, strings.Join(l.Columns, " or ")),
			"CREATE INDEX CONCURRENTLY ON "+other.Name.Quoted()+" ("+pg.Idents(l.Columns[:1])+") in production")
		return
	}
	if l.All && d.source.estimated() > mostAtOnce {
		m.opaque("looked-up-unindexed", d.after.Name.String(), m.naming(d.after.Name.Name, other.Name.Name),
			fmt.Sprintf("a change of %s would concern each row of it at once, by %s", other.Name, l.Where), "nothing in production changes that; write the columns in the plan file under tables")
		return
	}
	read := l.Row
	if len(l.From) > 0 || len(read) == 0 || m.indexedBy(table, read) {
		return
	}
	message := fmt.Sprintf("each batch in which %s changes reads %s whole: no index of it begins with %s", other.Name, table.Name, strings.Join(read, " or "))
	fix := "CREATE INDEX CONCURRENTLY ON " + table.Name.Quoted() + " (" + pg.Idents(read[:1]) + ") in production"
	if d.source.estimated() > mostRead {
		m.opaque("looked-up-unindexed", d.after.Name.String(), m.naming(d.after.Name.Name, other.Name.Name), message, fix)
		return
	}
	m.warning("looked-up-unindexed", d.after.Name.String(), message, "nothing, if the one is small or the other changes seldom; otherwise "+fix)
}

// indexedBy: some index of production's begins with one of the columns.
func (m *mapping) indexedBy(t *catalog.Table, columns []string) bool {
	return slices.ContainsFunc(m.production.IndexesOf(t.OID), func(i *catalog.Index) bool {
		c, ok := t.Column(i.Keys[0].Num)
		return ok && i.Valid && !i.Partial && slices.Contains(columns, c.Name)
	})
}

// estimated are its rows, roughly; of a table that was never analysed by its size.
func (s *sourceDraft) estimated() int64 { return max(s.plan.Rows, s.plan.Bytes/200, 1) }

// lookupsNeedKey: rows that a change of another table concerns are found again by
// their key.
func (m *mapping) lookupsNeedKey(d *tableDraft) {
	if len(d.lookups()) == 0 {
		return
	}
	m.opaque("key-not-carried", d.after.Name.String(), m.naming(d.after.Name.Name),
		fmt.Sprintf("its rows are computed from other tables, too, and %s has no key by which those that a change there concerns are found", d.source.production.Name),
		"add a primary key to it")
}

// lookedUp are the tables that an inferred expression may read that looks rows up:
// the changes of all of them are watched for it.
func (m *mapping) lookedUp(t *plans.Table) []pg.Name {
	names := []pg.Name{t.Production}
	for _, w := range t.Watches {
		names = append(names, m.plan.Sources[w.Source].Name)
	}
	return names
}

// filterReads are the tables that a table's filter may read: if it was inferred,
// and looks rows up.
func (m *mapping) filterReads(t *plans.Table) []pg.Name {
	i := slices.IndexFunc(m.tables, func(d *tableDraft) bool { return d.plan.Final == t.Final })
	if i < 0 || !m.tables[i].feed.Looks || m.tables[i].feed.Where != t.Where {
		return nil
	}
	return m.lookedUp(t)
}
