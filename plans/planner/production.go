package planner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// Versions of PostgreSQL that a run works on, as server_version_num / 10000.
const (
	OldestServer = 14
	NewestServer = 18
)

// standing is where production stands in the migrations.
type standing struct {
	table  pg.Name
	exists bool // the table does
	number *int64
	dirty  bool
}

func (m *survey) connect(ctx context.Context) error {
	var err error
	if m.session, err = catalog.ReadSession(ctx, m.file.Production.DSN, syntax.Settings); err == nil {
		m.db, err = pg.Connect(ctx, m.file.Production.DSN, pg.Options{Component: "plan", Settings: pg.Looking()})
	}
	if err != nil {
		return fmt.Errorf("production: %w", err)
	}
	m.plan.Production = plans.Server{Database: m.session.Database, Version: m.session.Server}
	return nil
}

const sqlASCII = "SQL_ASCII"

// lookAtProduction checks all that needs no scratch database.
func (m *survey) lookAtProduction(ctx context.Context) error {
	m.plan.SearchPath = m.session.Path
	_, order, _ := strings.Cut(m.session.DateStyle, ", ")
	m.plan.Session = map[string]string{"TimeZone": m.session.TimeZone, "DateStyle": "ISO, " + order}
	if m.session.Encoding == sqlASCII { // such a database holds bytes that need not be UTF-8, and COPY would refuse them
		m.plan.Session["client_encoding"] = sqlASCII
	}
	if m.plan.Remote { // the shadow's database gets them in the swap, and checks may call functions that read them
		maps.Copy(m.plan.Session, m.session.Custom())
	}
	for _, s := range m.file.Production.Schemas {
		m.plan.Schemas = append(m.plan.Schemas, plans.Schema{Production: s, Shadow: shadowSchema(m.file.Name, s),
			Old: oldSchema(m.file.Name, 1, s), Swap: plans.Rename})
	}
	if major := m.session.Server / 10000; major < OldestServer || major > NewestServer {
		m.blocker("server-version", m.session.Database, fmt.Sprintf("the server is PostgreSQL %d; %d to %d are supported", major, OldestServer, NewestServer), "upgrade the server first")
		return errBlocked
	}
	if err := m.readProduction(ctx); err != nil {
		return err
	}
	if m.schemasAbsent() {
		return errBlocked
	}
	return m.checkProduction(ctx)
}

// lookAtVersion decides from which version to which the run goes.
func (m *site) lookAtVersion(ctx context.Context) error {
	if slices.ContainsFunc(m.plan.Findings, func(f plans.Finding) bool { return f.Code == "privileges" || f.Code == "shadow-privileges" }) {
		return errBlocked // what follows would stumble over them, and say something else
	}
	if err := m.readVersion(ctx); err != nil {
		return err
	}
	return m.findPgDump(ctx)
}

func (m *survey) readProduction(ctx context.Context) error {
	return pg.RepeatableRead(ctx, m.db, func(tx pgx.Tx) (err error) {
		if m.production, err = catalog.Read(ctx, tx); err != nil {
			return err
		}
		return m.production.ReadSizes(ctx, tx, m.file.Production.Schemas)
	})
}

func (m *survey) schemasAbsent() bool {
	absent := false
	for _, s := range m.file.Production.Schemas {
		if _, ok := m.production.Schema(s); !ok {
			absent = true
			m.find(plans.Finding{Level: plans.Blocker, Code: "schema-absent", Object: s, Where: m.file.Where("production.schemas"),
				Message: fmt.Sprintf("database %s has no schema %s", m.session.Database, s), Fix: "correct production.schemas"})
		}
	}
	return absent
}

// readVersion finds golang-migrate's table and what it says, and how far to go.
func (m *site) readVersion(ctx context.Context) error {
	if m.migrations == nil {
		return m.readVersionAsIs(ctx)
	}
	if err := m.findVersionTable(); err != nil {
		return err
	}
	if m.version.exists {
		err := m.db.QueryRow(ctx, "SELECT version, dirty FROM "+m.version.table.Quoted()+" LIMIT 1").
			Scan(&m.version.number, &m.version.dirty)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return m.versionUnreadable(err)
		}
	}
	return m.classifyVersion()
}

func (m *survey) versionUnreadable(err error) error {
	if pg.State(err) != pgerrcode.InsufficientPrivilege {
		return fmt.Errorf("read %s: %w", m.version.table, err)
	}
	m.blocker("privileges", m.version.table.String(), "the version table cannot be read",
		fmt.Sprintf("GRANT SELECT ON %s TO %s;", m.version.table.Quoted(), pg.Ident(m.session.User)))
	return errBlocked
}

// versionTableName is golang-migrate's default.
const versionTableName = "schema_migrations"

// findVersionTable looks along the session's search_path; golang-migrate
// itself makes it in the first schema there.
func (m *survey) findVersionTable() error {
	name, schemas := m.file.Migrations.Table, m.session.Schemas
	if name == "" {
		name = versionTableName
	}
	if q, err := pg.ParseName(name); err == nil {
		name, schemas = q.Name, []string{q.Schema}
	}
	if len(schemas) == 0 {
		m.blocker("no-search-path", m.session.Path, "no schema of the session's search_path exists, so golang-migrate could not make its version table",
			"set search_path for the role or database, or in production.dsn")
		return errBlocked
	}
	m.version.table = pg.Name{Schema: schemas[0], Name: name}
	for _, s := range schemas {
		if t := m.production.ByName(pg.Name{Schema: s, Name: name}); t != nil {
			m.version.table, m.version.exists = t.Name, true
			break
		}
	}
	return nil
}

func (m *site) classifyVersion() error {
	v := &m.version
	if v.number == nil && m.file.Migrations.From != nil {
		v.number = m.file.Migrations.From
	}
	switch {
	case v.dirty:
		m.blocker("version-dirty", v.table.String(), fmt.Sprintf("the last migration failed: version %d is marked dirty", *v.number),
			"repair production and mark the version clean: migrate force VERSION")
		return errBlocked
	case v.number == nil && !v.exists && !m.schemasEmpty():
		m.find(plans.Finding{Level: plans.Blocker, Code: "version-absent", Object: v.table.String(), Where: m.file.Where("migrations.from"),
			Message: "production has no version table, and its schemas are not empty",
			Fix:     "write the version production is at as migrations.from, or name the table by migrations.table"})
		return errBlocked
	case v.number != nil && !m.migrations.Has(*v.number):
		m.blocker("version-unknown", v.table.String(), fmt.Sprintf("production is at version %d, which the folder %s does not have", *v.number, m.migrations.Dir),
			"name the folder that production was migrated with by migrations.path")
		return errBlocked
	}
	return m.chooseTarget()
}

func (m *site) chooseTarget() error {
	from, to := m.version.number, m.migrations.Newest()
	if want := m.file.Migrations.Version; want != nil {
		to = *want
		if !m.migrations.Has(to) {
			m.find(plans.Finding{Level: plans.Blocker, Code: "version-unknown", Object: fmt.Sprint(to), Where: m.file.Where("migrations.version"),
				Message: fmt.Sprintf("the folder %s has no version %d", m.migrations.Dir, to), Fix: "correct migrations.version"})
			return errBlocked
		}
	}
	m.plan.FromVersion, m.plan.ToVersion = from, &to
	switch {
	case from != nil && *from > to:
		m.blocker("version-newer", m.version.table.String(), fmt.Sprintf("production is at version %d, beyond %d: there is no way down", *from, to), "raise migrations.version")
		return errBlocked
	case from != nil && *from == to && !m.plan.Remote:
		m.plan.NothingToDo = true
		return errBlocked
	}
	_, moves := m.plan.SchemaFor(m.version.table.Schema)
	m.plan.VersionTable = &plans.VersionTable{Name: m.version.table, Moves: moves, Exists: m.version.exists}
	return m.settleCut()
}

func (m *survey) schemasEmpty() bool {
	return !slices.ContainsFunc(m.production.Tables, func(t *catalog.Table) bool {
		return m.moving(t.Name.Schema) && !t.Extension
	})
}
