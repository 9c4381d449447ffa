package cutover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4"
	migratedb "github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// MigrationError is a migration that failed behind the fence or in its trial.
// Everything was rolled back. The caller shows it: it would fail in place too.
type MigrationError struct {
	File      string
	Line      int // of the statement in the file, or of the server's position in it
	Statement string
	cause     error
}

// Error names file, line, the server's message with its detail, and SQLSTATE.
func (e *MigrationError) Error() string {
	message := e.cause.Error()
	var server *pgconn.PgError
	if errors.As(e.cause, &server) {
		message = fmt.Sprintf("%s (SQLSTATE %s)", server.Message, server.Code)
		if server.Detail != "" {
			message = fmt.Sprintf("%s: %s (SQLSTATE %s)", server.Message, server.Detail, server.Code)
		}
	}
	return fmt.Sprintf("%s: %s, in: %s", e.Where(), message, head(e.Statement))
}

func (e *MigrationError) Unwrap() error { return e.cause }

// Where is file:line.
func (e *MigrationError) Where() string { return fmt.Sprintf("%s:%d", e.File, e.Line) }

// FileTime is how long one migration took.
type FileTime struct {
	Version int64   `json:"version"`
	Name    string  `json:"name"`
	MS      float64 `json:"ms"`
}

// migrator runs the migrations that are kept for behind the fence, through
// golang-migrate itself, in a transaction that is not theirs. It is
// golang-migrate's driver and its source. The transaction stays open.
type migrator struct {
	// ctx is the stall's: golang-migrate's interfaces pass none.
	ctx   context.Context //nolint:containedctx // see above
	conn  *pgx.Conn
	plan  *plans.Plan
	table *pg.Name     // golang-migrate's; nil: the version is not written
	left  func() int64 // milliseconds that a statement may take now
	check func(file string, s syntax.ScriptStatement) error

	version int
	dirty   bool
	times   []FileTime
	// own are the settings that the session goes back to at the end of the file
	// under way, where a statement of it has changed any for the file alone; now
	// are those of the moment.
	own, now map[string]string
	atEnd    []string // of the file, or of the transaction that it would have in place
}

// run runs the files. Errors are [*MigrationError] for what the server
// refuses.
func (m *migrator) run() error {
	b := m.plan.Behind
	m.version = migratedb.NilVersion
	if b.Built != nil {
		m.version = int(*b.Built)
	}
	if err := m.asClient(); err != nil {
		return err
	}
	run, err := migrate.NewWithInstance("plan", newPlanSource(b), "postgres", m)
	if err != nil {
		return fmt.Errorf("prepare golang-migrate: %w", err)
	}
	run.Log = nil
	err = run.Migrate(uint(*m.plan.ToVersion))
	var failed *MigrationError
	switch {
	case errors.As(err, &failed):
		return failed
	case err != nil:
		return fmt.Errorf("run the migrations behind the fence: %w", err)
	}
	return m.asOurselves()
}

// asClient lets the session be what one of production.dsn is by itself: the
// migrations run under its search_path and settings, as in place. All of it is
// undone with the transaction, or by asOurselves.
func (m *migrator) asClient() error {
	if err := catalog.SetAll(m.ctx, m.conn, m.plan.Behind.Session); err != nil {
		return err
	}
	return m.asRole()
}

// asRole lets the session be that of the role which migrates production, where
// the shadow is reached as another.
func (m *migrator) asRole() error {
	role := m.plan.Behind.Role
	if role == "" {
		return nil
	}
	var superuser bool
	if err := m.conn.QueryRow(m.ctx, `SELECT pg_catalog.current_setting('is_superuser')::boolean`).Scan(&superuser); err != nil {
		return fmt.Errorf("ask who we are: %w", err)
	}
	set := "SET ROLE "
	if superuser { // so that session_user is the same too
		set = "SET SESSION AUTHORIZATION "
	}
	if err := pg.ExecScript(m.ctx, m.conn, set+pg.Ident(role)); err != nil {
		return fmt.Errorf("become the role of production.dsn: %w", err)
	}
	return nil
}

// asOurselves takes back what the migrations set for the session.
func (m *migrator) asOurselves() error {
	if err := pg.ExecScript(m.ctx, m.conn, "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL"); err != nil {
		return fmt.Errorf("take back the migrations' settings: %w", err)
	}
	_, err := m.conn.Exec(m.ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", m.left()))
	return err
}

// Run runs the statements of the version that golang-migrate has just noted. It
// is golang-migrate's driver's; the text is that of the plan.
func (m *migrator) Run(io.Reader) error {
	i := slices.IndexFunc(m.plan.Behind.Files, func(f plans.BehindFile) bool { return f.Version == int64(m.version) })
	if i < 0 {
		return fmt.Errorf("version %d is not in the plan", m.version)
	}
	f, began := m.plan.Behind.Files[i], time.Now()
	alone := m.plan.Behind.Each // each statement is a transaction of its own in place
	for _, s := range f.Statements {
		if err := m.statement(s); err != nil {
			return m.failed(f, s, err)
		}
		switch {
		case s.Manner == syntax.Begin:
			alone = false
		case s.Manner == syntax.Boundary:
			alone = m.plan.Behind.Each
		case alone:
			if err := m.endOfFile(); err != nil {
				return m.failed(f, s, err)
			}
		}
		if m.check == nil {
			continue
		}
		if err := m.check(f.Name, s); err != nil {
			return err
		}
	}
	if err := m.endOfFile(); err != nil {
		last := syntax.ScriptStatement{Line: 1, SQL: "(constraints checked at the end of the file)"}
		return m.failed(f, last, err)
	}
	m.times = append(m.times, FileTime{f.Version, f.Name, float64(time.Since(began).Microseconds()) / 1000})
	return nil
}

func (m *migrator) statement(s syntax.ScriptStatement) error {
	switch s.Manner {
	case syntax.Hoist, syntax.Later, syntax.Begin:
		return nil
	case syntax.Boundary:
		return m.endOfFile()
	}
	local := s.Manner == syntax.Local || strings.Contains(strings.ToLower(s.SQL), "set_config")
	if local && m.own == nil {
		if err := m.rememberSettings(s.SQL); err != nil {
			return err
		}
	}
	script := fmt.Sprintf("SET LOCAL statement_timeout = %d", m.left())
	if err := pg.ExecScript(m.ctx, m.conn, script); err != nil {
		return err
	}
	if err := pg.ExecScript(m.ctx, m.conn, s.SQL); err != nil {
		return err
	}
	if m.conn.PgConn().TxStatus() != 'T' {
		return errors.New("the migration ended the transaction of the swap")
	}
	if s.AtEnd != "" {
		m.atEnd = append(m.atEnd, s.AtEnd)
	}
	if m.own == nil || local && s.Manner == syntax.Local {
		return nil
	}
	return m.noteSettings(s)
}

// settings are the session's, its role among them.
func (m *migrator) settings(custom ...string) (map[string]string, error) {
	return catalog.Settings(m.ctx, m.conn, append(custom, "role"))
}

// rememberSettings keeps what SET LOCAL hides: in place it ends with the file,
// here the transaction goes on.
func (m *migrator) rememberSettings(sql string) (err error) {
	if m.own, err = m.settings(catalog.CustomSettings(sql)...); err != nil {
		return err
	}
	m.now = maps.Clone(m.own)
	return nil
}

// noteSettings takes what a SET for the session has changed for the session's own.
func (m *migrator) noteSettings(s syntax.ScriptStatement) error {
	if s.Manner != syntax.Session {
		return nil
	}
	after, err := m.settings()
	if err != nil {
		return err
	}
	for name, value := range after {
		if m.now[name] != value {
			m.own[name] = value
		}
	}
	m.now = after
	return nil
}

// endOfFile does what the end of a file's own transaction does in place:
// deferred constraints are checked, temporary tables with ON COMMIT lose their rows
// or go, and SET LOCAL ends. SET CONSTRAINTS lasts to
// the end of the transaction, so those that begin deferred are told so again.
func (m *migrator) endOfFile() error {
	deferred, err := m.deferredConstraints()
	if err != nil {
		return err
	}
	script := "SET CONSTRAINTS ALL IMMEDIATE"
	if deferred != "" {
		script += "; SET CONSTRAINTS " + deferred + " DEFERRED"
	}
	for _, end := range m.atEnd {
		script += "; " + end
	}
	m.atEnd = nil
	if err := pg.ExecScript(m.ctx, m.conn, script); err != nil {
		return err
	}
	return m.restoreSettings()
}

func (m *migrator) restoreSettings() error {
	names, values := pairs(m.own)
	m.own, m.now = nil, nil
	if len(names) == 0 {
		return nil
	}
	_, err := m.conn.Exec(m.ctx, `SELECT pg_catalog.set_config(n.name, n.value, false) FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS n (name, value)
		WHERE pg_catalog.current_setting(n.name, true) IS DISTINCT FROM n.value AND n.name IN (
			SELECT s.name FROM pg_catalog.pg_settings s WHERE s.setting IS DISTINCT FROM n.value
			UNION ALL SELECT n.name WHERE n.name = 'role' OR n.name LIKE '%.%')`, names, values)
	return err
}

// pairs are a map's keys and values, in one order.
func pairs(all map[string]string) (keys, values []string) {
	for key, value := range all {
		keys, values = append(keys, key), append(values, value)
	}
	return keys, values
}

func (m *migrator) deferredConstraints() (string, error) {
	var names *string
	err := m.conn.QueryRow(m.ctx, `SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('%I.%I', n.nspname, c.conname), ', ')
		FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace WHERE c.condeferred`).Scan(&names)
	if err != nil || names == nil {
		return "", err
	}
	return *names, nil
}

// failed places the error in the file. What a budget or a lost connection ended
// is not the migration's fault.
func (m *migrator) failed(f plans.BehindFile, s syntax.ScriptStatement, err error) error {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return fmt.Errorf("%s:%d: %w", f.Name, s.Line, err)
	}
	if pg.SilentTooLong(err) {
		return fmt.Errorf("%s:%d: %w", f.Name, s.Line, err)
	}
	switch server.Code {
	case pgerrcode.QueryCanceled, pgerrcode.LockNotAvailable, pgerrcode.DeadlockDetected, pgerrcode.AdminShutdown:
		return fmt.Errorf("%s:%d: %w", f.Name, s.Line, err)
	}
	line := s.Line
	if at := int(server.Position); at > 0 && at <= len([]rune(s.SQL)) {
		line += strings.Count(string([]rune(s.SQL)[:at-1]), "\n")
	}
	return &MigrationError{File: f.Name, Line: line, Statement: s.SQL, cause: err}
}

// SetVersion leaves one row, as golang-migrate's own driver does.
func (m *migrator) SetVersion(version int, dirty bool) error {
	m.version, m.dirty = version, dirty
	if m.table == nil {
		return nil
	}
	row := versionRow(*m.table, int64(version))
	if m.plan.VersionTable.Exists { // CREATE TABLE IF NOT EXISTS wants CREATE on the schema all the same
		row = row[1:]
	}
	script := strings.Join(row, "; ")
	if dirty {
		script += "; UPDATE " + m.table.Quoted() + " SET dirty = true"
	}
	if err := pg.ExecScript(m.ctx, m.conn, script); err != nil {
		return fmt.Errorf("version table %s: %w", m.table, err)
	}
	return nil
}

// Version is where golang-migrate begins.
func (m *migrator) Version() (int, bool, error) { return m.version, m.dirty, nil }

// Lock and Unlock do nothing: the fence is the lock.
func (m *migrator) Lock() error { return nil }

// Unlock is Lock's other half.
func (m *migrator) Unlock() error { return nil }

// Open is not for this driver: it works on a session that is open.
func (m *migrator) Open(string) (migratedb.Driver, error) { return m, nil }

// Close leaves the session to its owner.
func (m *migrator) Close() error { return nil }

// Drop is never asked for.
func (m *migrator) Drop() error { return errors.New("nothing is dropped") }
