package plans

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// shadowSide is the database that the shadow is built in, where that is not
// production's.
type shadowSide struct {
	db        *pgx.Conn
	user      string
	database  string
	superuser bool
	server    int // server_version_num
	catalog   *catalog.Catalog
	live      bool // the run is under way: what it made stands there
	// settingRoles are those that production's database has settings for, quoted.
	settingRoles []string
}

// connectShadow opens a session in the shadow's database. Only reads; what is
// tried there is rolled back.
func (m *maker) connectShadow(ctx context.Context) error {
	m.plan.Elsewhere = m.file.Shadow.DSN != ""
	if !m.plan.Elsewhere {
		return nil
	}
	db, err := pg.Connect(ctx, m.file.Shadow.DSN, pg.Options{Component: "plan"})
	if err != nil {
		return fmt.Errorf("the shadow: %w", err)
	}
	m.side = &shadowSide{db: db}
	err = db.QueryRow(ctx, `SELECT session_user, current_database(), current_setting('server_version_num')::int,
		(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)`).
		Scan(&m.side.user, &m.side.database, &m.side.server, &m.side.superuser)
	if err != nil {
		return fmt.Errorf("ask the shadow who we are: %w", err)
	}
	return nil
}

func (s *shadowSide) close(ctx context.Context) {
	if s != nil {
		_ = s.db.Close(context.WithoutCancel(ctx))
	}
}

// has reports whether the shadow's database has a schema of that name.
func (s *shadowSide) has(schema string) bool {
	_, there := s.catalog.Schema(schema)
	return there
}

// chooseSwapsElsewhere: the schema of the shadow is given the true name, unless
// that name is taken there, by public or by what extensions bring.
func (m *maker) chooseSwapsElsewhere() {
	for i, s := range m.plan.Schemas {
		if after, _ := m.after.Schema(s.Production); after.HasMembers || m.side.has(s.Production) {
			m.plan.Schemas[i].Swap = Move
		}
	}
}

// allExtensions makes every extension that production has after the migrations,
// in its true schema and in the version that the shadow's server offers. Where
// one is there already its entry does nothing, so that it serves for the
// skeleton in production too.
func (m *maker) allExtensions() []Entry {
	entries := []Entry{}
	number := -1
	for _, e := range m.after.Extensions {
		if entry, ok := m.schemaFor(e, number, entries); ok {
			entries = append(entries, entry)
			number--
		}
		entries = append(entries, Entry{TOC: number, Tag: "EXTENSION", Name: pg.Name{Schema: e.Schema, Name: e.Name}, Stage: StageBuild,
			SQL: fmt.Sprintf("CREATE EXTENSION IF NOT EXISTS %s WITH SCHEMA %s CASCADE;", pg.Ident(e.Name), pg.Ident(e.Schema))})
		number--
	}
	return entries
}

// schemaFor makes the schema of an extension where the shadow lacks it.
func (m *maker) schemaFor(e catalog.Extension, number int, made []Entry) (Entry, bool) {
	entry := Entry{TOC: number, Tag: tagSchemaOf, Name: pg.Name{Name: e.Schema}, Stage: StageBuild,
		SQL: "CREATE SCHEMA IF NOT EXISTS " + pg.Ident(e.Schema) + ";"}
	_, ordinary := m.after.Schema(e.Schema) // pg_catalog is none
	twice := slices.ContainsFunc(made, func(other Entry) bool { return other.Tag == entry.Tag && other.Name == entry.Name })
	return entry, ordinary && !twice && !m.side.has(e.Schema)
}
