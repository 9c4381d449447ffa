package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// readVersionAsIs is for a run without migrations: the structure stays, and so
// does the version. golang-migrate's table, if there is one, is copied like any
// other; only where its schema does not move must its row be written.
func (m *survey) readVersionAsIs(ctx context.Context) error {
	if !m.plan.Remote {
		m.blocker("no-migrations", m.file.Name, "without migrations only a move to another database makes sense",
			"name the folder by migrations.path, or another database by shadow.dsn")
		return errBlocked
	}
	t := m.versionTableAsIs()
	if t == nil {
		return nil
	}
	var number int64
	var dirty bool
	err := m.db.QueryRow(ctx, "SELECT version, dirty FROM "+t.Name.Quoted()+" LIMIT 1").Scan(&number, &dirty)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case pg.State(err) == pgerrcode.InsufficientPrivilege:
		m.version.table = t.Name
		return m.versionUnreadable(err)
	case err != nil:
		return fmt.Errorf("read %s: %w", t.Name, err)
	}
	m.plan.FromVersion, m.plan.ToVersion = &number, &number
	if m.moving(t.Name.Schema) {
		return nil
	}
	if dirty {
		m.blocker("version-dirty", t.Name.String(), fmt.Sprintf("the last migration failed: version %d is marked dirty", number),
			"repair production and mark the version clean: migrate force VERSION")
		return errBlocked
	}
	m.version = standing{table: t.Name, exists: true, number: &number}
	m.plan.VersionTable = &plans.VersionTable{Name: t.Name, Exists: true}
	return nil
}

// versionTableAsIs finds golang-migrate's table along the session's
// search_path. Other tools have tables of that name too: it is one by its two
// columns.
func (m *survey) versionTableAsIs() *catalog.Table {
	name, schemas := m.file.Migrations.Table, m.session.Schemas
	if name == "" {
		name = versionTableName
	}
	if q, err := pg.ParseName(name); err == nil {
		name, schemas = q.Name, []string{q.Schema}
	}
	for _, s := range slices.Concat(schemas, m.file.Production.Schemas) {
		t := m.production.ByName(pg.Name{Schema: s, Name: name})
		if t == nil {
			continue
		}
		version, _ := t.ColumnNamed("version")
		dirty, _ := t.ColumnNamed("dirty")
		if version.Type == "bigint" && dirty.Type == "boolean" {
			return t
		}
	}
	return nil
}
