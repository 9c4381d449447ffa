package planner

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	migratedb "github.com/golang-migrate/migrate/v4/database"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/transforms"
)

// watchBudget is how long the looks at scratch between the migrations may take
// together: a thousand tables and a hundred files would take minutes.
const watchBudget = 5 * time.Second

// watcher looks at scratch after each migration.
type watcher struct {
	last  *catalog.Catalog
	spent time.Duration
}

// watched is golang-migrate's driver, which tells when a file has run.
type watched struct {
	migratedb.Driver
	ran func(version int64)
}

func (w *watched) SetVersion(version int, dirty bool) error {
	err := w.Driver.SetVersion(version, dirty)
	if err == nil && !dirty {
		w.ran(int64(version))
	}
	return err
}

// fileRan notes what a file has changed. What cannot be looked at, or in time,
// is told together with what comes after it.
func (m *trial) fileRan(ctx context.Context, version int64) {
	if m.sampled { // it was told of the first run
		return
	}
	m.client.err = cmp.Or(m.client.err, m.noteSession(ctx))
	err := m.lookAfter(m.fileNamed(version), func() (*catalog.Catalog, error) { return catalog.Read(ctx, m.scratch.db) })
	if err != nil {
		m.log.Debug("look at scratch between migrations", "error", err)
	}
}

// lookAfter tells what a file has changed, unless such looks have taken too long.
func (m *trial) lookAfter(file string, read func() (*catalog.Catalog, error)) error {
	if m.watcher.last == nil {
		m.watcher.last = m.before
	}
	if m.watcher.spent > watchBudget {
		return nil
	}
	began := time.Now()
	now, err := read()
	m.watcher.spent += time.Since(began)
	if err == nil {
		m.changed(file, now)
	}
	return err
}

func (m *task) fileNamed(version int64) string {
	for _, f := range m.migrations.Files {
		if f.Version == version {
			return f.Name
		}
	}
	return fmt.Sprint(version)
}

func (m *trial) changed(file string, now *catalog.Catalog) {
	var all []catalog.Change
	for _, c := range catalog.Diff(m.watcher.last, now, m.file.Production.Schemas) {
		if c.Object != m.version.table.String() {
			all = append(all, c)
		}
	}
	m.watcher.last = now
	if len(all) > 0 {
		m.plan.Changes = append(m.plan.Changes, plans.FileChanges{File: file, Changes: all})
	}
}

// tellChanges adds what was not looked at in time, and what clients will notice
// of all of it.
func (m *trial) tellChanges(context.Context) error {
	last := m.after
	if m.behind != nil && m.behind.catalog != nil {
		last = m.behind.catalog
	}
	if m.watcher.last != nil && m.watcher.spent > watchBudget {
		m.changed("later files", last)
	}
	schemas := m.file.Production.Schemas
	for _, f := range append(clientBreaks(last, catalog.Diff(m.before, last, schemas)), viewBreaks(m.before, last, schemas)...) {
		if f.Object == m.version.table.String() || f.Code == codeResultType && m.plan.Remote { // sessions there are new ones
			continue
		}
		f.Where = m.placeOf(f.Object)
		m.find(f)
	}
	return nil
}

// placeOf is the statement that changed an object: the last one that names it, of
// the file in which it last changed.
func (m *trial) placeOf(object string) string {
	all := slices.Clone(m.trace.places)
	if m.plan.Behind != nil {
		all = append(all, m.plan.Behind.Places()...)
	}
	places := all
	for _, f := range m.plan.Changes {
		for _, c := range f.Changes {
			if c.Object == object || c.Was == object {
				places = slices.DeleteFunc(slices.Clone(all), func(p syntax.Place) bool { return p.File != f.File })
			}
		}
	}
	return transforms.Naming(places, lastWords(object)...)
}
