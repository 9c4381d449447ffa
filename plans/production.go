package plans

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// Versions of PostgreSQL that a run works on, as server_version_num / 10000.
const (
	oldestServer = 14
	newestServer = 18
)

// session is what a session of production.dsn has without our settings.
type session struct {
	user       string
	database   string
	superuser  bool
	server     int // server_version_num
	path       string
	timeZone   string
	dateStyle  string
	encoding   string
	schemas    []string // of path, those that exist
	parameters map[string]string
	texts      map[string]string // its [syntax.Settings]
}

// standing is where production stands in the migrations.
type standing struct {
	table  pg.Name
	exists bool // the table does
	number *int64
	dirty  bool
}

func (m *maker) connect(ctx context.Context) error {
	var err error
	if m.session, err = readSession(ctx, m.file.Production.DSN); err == nil {
		m.db, err = pg.Connect(ctx, m.file.Production.DSN, pg.Options{Component: "plan"})
	}
	if err != nil {
		return fmt.Errorf("production: %w", err)
	}
	m.plan.Production = Server{Database: m.session.database, Version: m.session.server}
	return nil
}

const sqlASCII = "SQL_ASCII"

// readSession opens a session as a client of production would and reads what
// migrations and transforms depend on.
func readSession(ctx context.Context, dsn string) (session, error) {
	s := session{parameters: map[string]string{}, texts: map[string]string{}}
	conn, err := connectAsClient(ctx, dsn)
	if err != nil {
		return s, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, `SELECT session_user, current_database(), current_schemas(false)::text[],
		(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
		current_setting('server_version_num')::int, current_setting('search_path'),
		current_setting('TimeZone'), current_setting('DateStyle'), current_setting('server_encoding')`).
		Scan(&s.user, &s.database, &s.schemas, &s.superuser, &s.server, &s.path, &s.timeZone, &s.dateStyle, &s.encoding)
	if err != nil {
		return s, fmt.Errorf("read the session's settings: %w", err)
	}
	s.path = withUser(s.path, s.user)
	if err := s.readTexts(ctx, conn); err != nil {
		return s, err
	}
	return s, s.readParameters(ctx, conn)
}

func (s *session) readTexts(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT name, current_setting(name) FROM unnest($1::text[]) AS s (name)`, syntax.Settings)
	if err != nil {
		return fmt.Errorf("read the session's settings: %w", err)
	}
	var name, setting string
	_, err = pgx.ForEachRow(rows, []any{&name, &setting}, func() error {
		s.texts[name] = setting
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the session's settings: %w", err)
	}
	return nil
}

// connectAsClient opens a session with what role, database and connection string
// set, and nothing of ours.
func connectAsClient(ctx context.Context, dsn string) (*pgx.Conn, error) {
	return pg.ConnectAsClient(ctx, dsn, "plan")
}

// ownParameters are settings of ours or of no meaning to the migrations.
var ownParameters = regexp.MustCompile(`^(search_path|application_name|client_encoding|default_transaction_.*|statement_timeout|lock_timeout|idle_.*|transaction_timeout|log_.*|session_preload_libraries|local_preload_libraries)$`)

// readParameters reads what the database, the role or the connection string
// set, so that migrations in scratch run as they would in production. Settings that
// only the user's own functions know (app.tenant) pg_settings does not show.
func (s *session) readParameters(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT name, setting FROM pg_catalog.pg_settings
		WHERE context = 'user' AND source IN ('database', 'user', 'database user', 'client')
		UNION ALL
		SELECT c.name, pg_catalog.current_setting(c.name, true) FROM (
			SELECT DISTINCT pg_catalog.split_part(x, '=', 1) AS name FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) x
			WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
				AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))) c
		WHERE c.name LIKE '%.%' AND NOT EXISTS (SELECT FROM pg_catalog.pg_settings k WHERE k.name = c.name)
			AND pg_catalog.current_setting(c.name, true) IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("read the session's settings: %w", err)
	}
	var name, setting string
	_, err = pgx.ForEachRow(rows, []any{&name, &setting}, func() error {
		if !ownParameters.MatchString(name) {
			s.parameters[name] = setting
		}
		return nil
	})
	return err
}

// custom are the settings that only the user's own functions read: app.tenant.
func (s *session) custom() map[string]string {
	all := maps.Clone(s.parameters)
	maps.DeleteFunc(all, func(name, _ string) bool { return !strings.Contains(name, ".") })
	return all
}

// withUser writes the role's name for "$user": scratch may be reached by another.
func withUser(path, user string) string {
	parts := strings.Split(path, ",")
	for i, p := range parts {
		if p = strings.TrimSpace(p); p == `"$user"` || p == `$user` {
			parts[i] = pg.Ident(user)
		}
	}
	return strings.Join(parts, ",")
}

// lookAtProduction checks all that needs no scratch database.
func (m *maker) lookAtProduction(ctx context.Context) error {
	m.plan.SearchPath = m.session.path
	_, order, _ := strings.Cut(m.session.dateStyle, ", ")
	m.plan.Session = map[string]string{"TimeZone": m.session.timeZone, "DateStyle": "ISO, " + order}
	if m.session.encoding == sqlASCII { // such a database holds bytes that need not be UTF-8, and COPY would refuse them
		m.plan.Session["client_encoding"] = sqlASCII
	}
	if m.plan.Elsewhere { // the shadow's database gets them in the swap, and checks may call functions that read them
		maps.Copy(m.plan.Session, m.session.custom())
	}
	for _, s := range m.file.Production.Schemas {
		m.plan.Schemas = append(m.plan.Schemas, Schema{Production: s, Shadow: shadowSchema(m.file.Name, s),
			Old: oldSchema(m.file.Name, s), Swap: Rename})
	}
	if major := m.session.server / 10000; major < oldestServer || major > newestServer {
		m.blocker("server-version", m.session.database, fmt.Sprintf("the server is PostgreSQL %d; %d to %d are supported", major, oldestServer, newestServer), "upgrade the server first")
		return errBlocked
	}
	if err := m.readProduction(ctx); err != nil {
		return err
	}
	if m.schemasAbsent() {
		return errBlocked
	}
	if err := m.checkProduction(ctx); err != nil {
		return err
	}
	if err := m.lookAtShadow(ctx); err != nil {
		return err
	}
	if slices.ContainsFunc(m.plan.Findings, func(f Finding) bool { return f.Code == "privileges" || f.Code == "shadow-privileges" }) {
		return errBlocked // what follows would stumble over them, and say something else
	}
	if err := m.readVersion(ctx); err != nil {
		return err
	}
	return m.findPgDump(ctx)
}

func (m *maker) readProduction(ctx context.Context) error {
	return pg.RepeatableRead(ctx, m.db, func(tx pgx.Tx) (err error) {
		if m.production, err = catalog.Read(ctx, tx); err != nil {
			return err
		}
		return m.production.ReadSizes(ctx, tx, m.file.Production.Schemas)
	})
}

func (m *maker) schemasAbsent() bool {
	absent := false
	for _, s := range m.file.Production.Schemas {
		if _, ok := m.production.Schema(s); !ok {
			absent = true
			m.find(Finding{Level: Blocker, Code: "schema-absent", Object: s, Where: m.file.Where("production.schemas"),
				Message: fmt.Sprintf("database %s has no schema %s", m.session.database, s), Fix: "correct production.schemas"})
		}
	}
	return absent
}

// readVersion finds golang-migrate's table and what it says, and how far to go.
func (m *maker) readVersion(ctx context.Context) error {
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
	return m.judgeVersion()
}

func (m *maker) versionUnreadable(err error) error {
	if pg.State(err) != pg.InsufficientPriv {
		return fmt.Errorf("read %s: %w", m.version.table, err)
	}
	m.blocker("privileges", m.version.table.String(), "the version table cannot be read",
		fmt.Sprintf("GRANT SELECT ON %s TO %s;", m.version.table.Quoted(), pg.Ident(m.session.user)))
	return errBlocked
}

// findVersionTable looks along the session's search_path; golang-migrate
// itself makes it in the first schema there.
func (m *maker) findVersionTable() error {
	name, schemas := m.file.Migrations.Table, m.session.schemas
	if name == "" {
		name = "schema_migrations"
	}
	if q, err := pg.ParseName(name); err == nil {
		name, schemas = q.Name, []string{q.Schema}
	}
	if len(schemas) == 0 {
		m.blocker("no-search-path", m.session.path, "no schema of the session's search_path exists, so golang-migrate could not make its version table",
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

func (m *maker) judgeVersion() error {
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
		m.find(Finding{Level: Blocker, Code: "version-absent", Object: v.table.String(), Where: m.file.Where("migrations.from"),
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

func (m *maker) chooseTarget() error {
	from, to := m.version.number, m.migrations.Newest()
	if want := m.file.Migrations.Version; want != nil {
		to = *want
		if !m.migrations.Has(to) {
			m.find(Finding{Level: Blocker, Code: "version-unknown", Object: fmt.Sprint(to), Where: m.file.Where("migrations.version"),
				Message: fmt.Sprintf("the folder %s has no version %d", m.migrations.Dir, to), Fix: "correct migrations.version"})
			return errBlocked
		}
	}
	m.plan.FromVersion, m.plan.ToVersion = from, &to
	switch {
	case from != nil && *from > to:
		m.blocker("version-newer", m.version.table.String(), fmt.Sprintf("production is at version %d, beyond %d: there is no way down", *from, to), "raise migrations.version")
		return errBlocked
	case from != nil && *from == to && !m.plan.Elsewhere:
		m.plan.NothingToDo = true
		return errBlocked
	}
	_, moves := m.plan.SchemaFor(m.version.table.Schema)
	m.plan.VersionTable = &VersionTable{Name: m.version.table, Moves: moves, Exists: m.version.exists}
	return m.settleCut()
}

func (m *maker) schemasEmpty() bool {
	return !slices.ContainsFunc(m.production.Tables, func(t *catalog.Table) bool {
		return m.moving(t.Name.Schema) && !t.Extension
	})
}
