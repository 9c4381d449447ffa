package planner

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/golang-migrate/migrate/v4"
	migratedb "github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

// trace is what is known of the migrations' statements.
type trace struct {
	facts      []syntax.Fact
	marks      []syntax.Mark
	statements map[int64][]syntax.Statement // by migration
	places     []syntax.Place               // the same, in order
	texts      map[int64]string             // what golang-migrate runs, by migration
}

// migrate reads scratch as production is, then runs the migrations there.
func (m *trial) migrate(ctx context.Context) (err error) {
	if m.before, err = catalog.Read(ctx, m.scratch.db); err != nil {
		return err
	}
	if err := pg.ExecScript(ctx, m.scratch.db, syntax.TraceSetup()); err != nil {
		return fmt.Errorf("prepare the trace: %w", err)
	}
	if err := m.scratch.prepareGuest(ctx); err != nil {
		return err
	}
	if err := m.setGuards(ctx); err != nil {
		return err
	}
	texts, err := m.instrument()
	if err != nil {
		return err
	}
	if err := m.confine(ctx, texts); err != nil {
		return err
	}
	if err := m.tryGuards(ctx); err != nil {
		return err
	}
	if m.migrations == nil {
		return nil
	}
	m.trace.texts = texts
	return m.runMigrations(ctx, texts)
}

// runMigrations runs them, again from the file on whose statement had to be lifted.
func (m *trial) runMigrations(ctx context.Context, texts map[int64]string) error {
	config, err := m.scratch.clientConfig(m.session)
	if err != nil {
		return err
	}
	from := m.plan.FromVersion
	for {
		db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(m.beginSession))
		again, err := m.runFrom(ctx, db, texts, from)
		_ = db.Close()
		if err = cmp.Or(err, m.client.err); err != nil || again == nil {
			return err
		}
		from = again.before
	}
}

// another run of the migrations, from a version on.
type another struct{ before *int64 }

// instrument reads the files and lays marks around their statements.
func (m *trial) instrument() (map[int64]string, error) {
	texts := map[int64]string{}
	m.trace.statements = map[int64][]syntax.Statement{}
	if m.migrations == nil {
		return texts, nil
	}
	for _, f := range m.migrations.Files {
		text, err := os.ReadFile(f.Path)
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		texts[f.Version] = string(text)
	}
	for _, f := range m.understood() {
		how := syntax.Manners{Each: m.file.Migrations.MultiStatement, Deferred: m.cut.deferred}
		marked, err := syntax.InstrumentAs(how, f.Name, texts[f.Version], len(m.trace.facts)+1)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", f.Name, err)
		}
		texts[f.Version] = marked.SQL
		m.trace.statements[f.Version] = marked.Statements
		m.trace.facts = append(m.trace.facts, marked.Facts...)
		for _, s := range marked.Statements {
			m.trace.places = append(m.trace.places, syntax.Place{File: f.Name, SQL: s.SQL, Line: s.Line})
		}
		for _, n := range marked.Notices {
			m.find(finding(n))
		}
	}
	return texts, nil
}

func finding(n syntax.Notice) plans.Finding {
	return plans.Finding{Level: plans.Level(n.Level), Code: n.Code, Object: n.Object, Where: n.Where, Message: n.Message, Fix: n.Fix, Opaque: n.Opaque}
}

// runFrom lets golang-migrate itself run them: what it would do in production is
// what happens. again: a statement needs rights that the guest lacks, and has got
// them.
func (m *trial) runFrom(ctx context.Context, db *sql.DB, texts map[int64]string, from *int64) (again *another, err error) {
	target, err := migratepgx.WithInstance(db, &migratepgx.Config{
		SchemaName: m.version.table.Schema, MigrationsTable: m.version.table.Name,
		// Marks make a statement longer, so that the limit of production's own tool is
		// none here.
		MultiStatementEnabled: m.file.Migrations.MultiStatement, MultiStatementMaxSize: math.MaxInt32})
	if err != nil {
		return nil, fmt.Errorf("prepare golang-migrate: %w", err)
	}
	version := migratedb.NilVersion
	if from != nil {
		version = int(*from)
	}
	if from != nil || m.scratch.guest != nil && len(m.scratch.guest.lifted) > 0 {
		if err := target.SetVersion(version, false); err != nil {
			return nil, fmt.Errorf("set the version in scratch: %w", err)
		}
	}
	run, err := migrate.NewWithInstance("memory", newMemorySource(m.migrations, texts), m.scratch.name,
		&watched{Driver: target, ran: func(version int64) {
			m.pulse.within(fmt.Sprintf("version %d is done", version))
			m.fileRan(ctx, version)
		}})
	if err != nil {
		return nil, fmt.Errorf("prepare golang-migrate: %w", err)
	}
	defer context.AfterFunc(ctx, func() { m.scratch.interrupt(ctx) })()
	built := m.plan.BuiltVersion()
	if built == nil { // all run behind the fence
		return nil, nil
	}
	err = run.Migrate(uint(*built))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil || errors.Is(err, migrate.ErrNoChange) {
		return nil, nil
	}
	return m.migrationFailed(ctx, err, texts)
}

// interrupt ends the migrations' session: golang-migrate takes no context.
func (s *scratch) interrupt(ctx context.Context) {
	config, err := pg.Config(s.dsn, pg.Options{Component: "scratch"})
	if err != nil {
		return
	}
	cleanup := context.WithoutCancel(ctx)
	conn, err := pgx.ConnectConfig(cleanup, config)
	if err != nil {
		return
	}
	_, _ = conn.Exec(cleanup, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = $1 AND application_name = 'pgumbra/migrations'`, s.name)
	_ = conn.Close(cleanup)
}

// migrationFailed tells which statement failed. The server gives a position for
// errors of syntax and names only; for others the file is run again, statement
// by statement, which its own transaction has rolled back. again: the statement
// lacked a right, and was given it.
func (m *trial) migrationFailed(ctx context.Context, cause error, texts map[int64]string) (again *another, err error) {
	var failed migratedb.Error
	if !errors.As(cause, &failed) {
		if p := new(migratedb.Error); errors.As(cause, &p) {
			failed = *p
		}
	}
	reached, err := m.versionReached(ctx)
	if err != nil || failed.OrigErr == nil {
		return nil, fmt.Errorf("run the migrations: %w", cause)
	}
	name, before := fmt.Sprint(reached), m.plan.FromVersion
	for i, f := range m.migrations.Files {
		if f.Version != reached {
			continue
		}
		name = f.Name
		if i > 0 {
			before = &m.migrations.Files[i-1].Version
		}
	}
	statement := m.failedStatement(ctx, m.trace.statements[reached], failed)
	if pg.State(failed.OrigErr) == pgerrcode.InsufficientPrivilege {
		lifted, err := m.lift(ctx, texts, reached, statement)
		if err != nil {
			return nil, err
		}
		if lifted {
			return &another{before}, nil
		}
	}
	if failsByRows(failed.OrigErr) && !m.sampled {
		m.failedFor(statement, name)
	}
	m.failedState = pg.State(failed.OrigErr)
	m.find(m.failure(name, statement, failed))
	return nil, errBlocked
}

func (m *trial) failure(name string, statement syntax.Statement, failed migratedb.Error) plans.Finding {
	f := plans.Finding{Level: plans.Blocker, Code: "migration-failed", Object: name, Where: name,
		Message: fmt.Sprintf("the migration fails in scratch: %s (SQLSTATE %s)%s", serverMessage(failed.OrigErr), pg.State(failed.OrigErr), quoteStatement(statement.SQL)),
		Fix:     m.fixOfMigration(failed.OrigErr),
		Opaque:  failsByRows(failed.OrigErr)}
	if statement.Line > 0 {
		f.Where = fmt.Sprintf("%s:%d", name, statement.Line)
	}
	if m.sampled {
		m.failsOnRows(&f, statement, failed.OrigErr)
		return f
	}
	if m.scratch.guest != nil && pg.State(failed.OrigErr) == pgerrcode.InsufficientPrivilege {
		f.Code = "beyond-database"
		f.Message = fmt.Sprintf("what this statement runs needs a right that ends not at its database; a dry run has none such, so that it changes nothing outside of scratch: %s%s",
			serverMessage(failed.OrigErr), quoteStatement(statement.SQL))
		f.Fix = "take what acts on the server out of functions and DO blocks, as statements of their own, which are listed and left to you; or do it by hand before the next plan, so that the migration finds it done"
	}
	f.Message = m.scratch.unmask(f.Message)
	return f
}

// fixOfMigration: an enum's new value cannot be used in the transaction that adds
// it, and a file is one unless golang-migrate was told otherwise.
func (m *task) fixOfMigration(err error) string {
	if pg.State(err) == pgerrcode.UnsafeNewEnumValueUsage && !m.file.Migrations.MultiStatement {
		return "put ALTER TYPE ... ADD VALUE into a file of its own, before this one; or, if golang-migrate runs with x-multi-statement=true, set migrations.multi_statement: true"
	}
	return "correct the migration, or production where it differs from what the migration expects"
}

// failsByRows: what failed in scratch, which has no rows, may go well in
// production, which has: a foreign key of a row that is inserted, a check that
// there is one, a division by their number.
func failsByRows(err error) bool {
	state := pg.State(err)
	if state == pgerrcode.UntranslatableCharacter || state == pgerrcode.CharacterNotInRepertoire { // of the file itself
		return false
	}
	return state != "" && slices.Contains([]string{"21", "22", "23", "27", "44", "P0"}, state[:2])
}

// versionReached is the version that golang-migrate noted before it ran the
// file that failed. Its own session cannot be asked: a file with BEGIN leaves
// it in an aborted transaction.
func (m *trial) versionReached(ctx context.Context) (version int64, err error) {
	err = m.scratch.db.QueryRow(ctx, "SELECT version FROM "+m.version.table.Quoted()).Scan(&version)
	return version, err
}

// failedStatement finds a failed file's statement: by the position that the
// server gave, or by running the file once more, one statement after the other,
// until the same error comes. Nothing of it stays. Zero: not found.
func (m *trial) failedStatement(ctx context.Context, all []syntax.Statement, failed migratedb.Error) syntax.Statement {
	if m.file.Migrations.MultiStatement {
		return sentAlone(all, string(failed.Query))
	}
	var server *pgconn.PgError
	if errors.As(failed.OrigErr, &server) && server.Position > 0 && failed.Line > 0 {
		for _, s := range all {
			if s.Line <= int(failed.Line) && int(failed.Line) <= s.EndLine {
				s.Line = int(failed.Line) // a file that the parser cannot read is one statement
				return s
			}
		}
		return syntax.Statement{Line: int(failed.Line)}
	}
	for _, begin := range []string{"BEGIN", "BEGIN; SET CONSTRAINTS ALL IMMEDIATE"} { // what was put off to the end fails at once then
		if found := m.failsAgain(ctx, begin, all, pg.State(failed.OrigErr)); found.SQL != "" {
			return found
		}
	}
	return syntax.Statement{}
}

// failsAgain runs a file's statements in one transaction until one fails in the
// same way.
func (m *trial) failsAgain(ctx context.Context, begin string, all []syntax.Statement, state string) syntax.Statement {
	config, err := m.scratch.clientConfig(m.session)
	if err != nil {
		return syntax.Statement{}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return syntax.Statement{}
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // and with it goes its transaction
	if err := pg.ExecScript(ctx, conn, begin); err != nil {
		return syntax.Statement{}
	}
	for _, s := range all {
		if s.LeftOut {
			continue
		}
		if err := pg.ExecScript(ctx, conn, s.SQL); err == nil {
			continue
		} else if pg.State(err) == state {
			return s
		}
		break
	}
	return syntax.Statement{}
}

// sentAlone is the statement that a piece of a file holds: those before it are
// committed, and cannot be run again. Of equal ones it is the first.
func sentAlone(all []syntax.Statement, sent string) syntax.Statement {
	for _, s := range all {
		if strings.Contains(sent, s.SQL) {
			return s
		}
	}
	return syntax.Statement{}
}

func serverMessage(err error) string {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return err.Error()
	}
	if server.Detail != "" {
		return server.Message + " (" + server.Detail + ")"
	}
	return server.Message
}

func quoteStatement(sql string) string {
	sql = strings.Join(strings.Fields(sql), " ")
	if sql == "" {
		return ""
	}
	if len(sql) > 200 {
		sql = strings.ToValidUTF8(sql[:200], "") + "…"
	}
	return ", in: " + sql
}
