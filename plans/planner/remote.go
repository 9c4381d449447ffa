package planner

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
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
	wanted    state
}

// connectShadow opens a session in the shadow's database. Only reads; what is
// tried there is rolled back.
func (m *site) connectShadow(ctx context.Context) error {
	m.plan.Remote = m.file.Shadow.DSN != ""
	if !m.plan.Remote {
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

// chooseSwapsRemote: the schema of the shadow is given the true name, unless
// that name is taken there, by public or by what extensions bring.
func (m *site) chooseSwapsRemote() {
	for i, s := range m.plan.Schemas {
		if after, _ := m.after.Schema(s.Production); after.HasMembers || m.side.has(s.Production) {
			m.plan.Schemas[i].Swap = plans.Move
		}
	}
}

// allExtensions makes every extension that production has after the migrations,
// in its true schema and in the version that the shadow's server offers. Where
// one is there already its entry does nothing, so that it serves for the
// skeleton in production too.
func (m *trial) allExtensions(ctx context.Context) ([]plans.Entry, error) {
	entries := []plans.Entry{}
	number := -1
	for _, e := range m.after.Extensions {
		_, ordinary := m.after.Schema(e.Schema) // pg_catalog is none
		if ordinary && !m.side.has(e.Schema) && !made(e.Schema, entries) {
			entry, err := m.schemaFor(ctx, e.Schema, number)
			if err != nil {
				return nil, err
			}
			entries = append(entries, entry)
			number--
		}
		entries = append(entries, plans.Entry{TOC: number, Tag: "EXTENSION", Name: pg.Name{Schema: e.Schema, Name: e.Name}, Stage: plans.StageBuild,
			SQL: fmt.Sprintf("CREATE EXTENSION IF NOT EXISTS %s WITH SCHEMA %s CASCADE;", pg.Ident(e.Name), pg.Ident(e.Schema))})
		number--
	}
	return entries, nil
}

// made reports whether a schema is one that an extension is given.
func made(schema string, entries []plans.Entry) bool {
	return slices.ContainsFunc(entries, func(e plans.Entry) bool { return e.Tag == plans.TagSchemaOf && e.Name.Name == schema })
}

// schemaFor makes the schema of an extension like production's from the start:
// functions that owners of indexes and views call may look for something there. A
// run that is given up drops it again.
func (m *trial) schemaFor(ctx context.Context, schema string, number int) (plans.Entry, error) {
	sql, err := m.newSchema(ctx, schema)
	return plans.Entry{TOC: number, Tag: plans.TagSchemaOf, Name: pg.Name{Name: schema}, Owner: m.schemaNamed(schema).Owner, SQL: sql, Stage: plans.StageBuild}, err
}
