package cutover

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"github.com/pgumbra/pgumbra/plans/behind"
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
	session *behind.Session // that runs them
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
	for _, f := range b.Deferred {
		if err := m.file(f); err != nil {
			return err
		}
	}
	if len(b.Files) > 0 {
		err := m.files(b)
		if err != nil {
			return err
		}
	} else if err := m.SetVersion(int(*m.plan.ToVersion), false); err != nil {
		return err
	}
	return m.asOurselves()
}

// files runs whole files.
func (m *migrator) files(b *plans.Behind) error {
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
	return nil
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
	return m.file(m.plan.Behind.Files[i])
}

// file runs the statements of one, as the transactions that it has in place.
func (m *migrator) file(f plans.BehindFile) error {
	began := time.Now()
	if m.session == nil {
		m.session = &behind.Session{Conn: m.conn, Each: m.plan.Behind.Each, Left: m.left, Ran: m.check}
	}
	err := m.session.Run(m.ctx, f)
	if failed := new(behind.Failed); errors.As(err, &failed) {
		return m.failed(f, failed.Statement, failed.Unwrap())
	}
	if err != nil {
		return err
	}
	m.times = append(m.times, FileTime{f.Version, f.Name, float64(time.Since(began).Microseconds()) / 1000})
	return nil
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
	script := strings.Join(versionBehind(*m.table, m.plan, int64(version), dirty), "; ")
	if err := pg.ExecScript(m.ctx, m.conn, script); err != nil {
		return fmt.Errorf("version table %s: %w", m.table, err)
	}
	return nil
}

func versionBehind(table pg.Name, plan *plans.Plan, version int64, dirty bool) []string {
	row := versionRow(table, version)
	if plan.VersionTable.Exists { // CREATE TABLE IF NOT EXISTS wants CREATE on the schema all the same
		row = row[1:]
	}
	if dirty {
		row = append(row, "UPDATE "+table.Quoted()+" SET dirty = true")
	}
	return row
}

// versionsBehind are the rows that golang-migrate writes around each file; the one that we
// write where there is none, and statements alone waited for the swap.
func versionsBehind(plan *plans.Plan) (all []string) {
	if plan.VersionTable == nil {
		return nil
	}
	if len(plan.Behind.Files) == 0 && plan.ToVersion != nil {
		return versionBehind(plan.VersionTable.Name, plan, *plan.ToVersion, false)
	}
	for _, f := range plan.Behind.Files {
		for _, dirty := range []bool{true, false} {
			all = append(all, versionBehind(plan.VersionTable.Name, plan, f.Version, dirty)...)
		}
	}
	return all
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
