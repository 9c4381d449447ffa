// Package behind runs the migrations that are kept for behind the fence, in a
// transaction that is not theirs. What becomes of each statement there, by its manner,
// is done and told here and nowhere else: on the empty structure that a plan is made with, in the
// trial and in the swap. It opens no connection, and neither begins nor ends the
// transaction.
package behind

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

// Failed is a statement that could not be run. The caller says whose fault that is.
type Failed struct {
	File      plans.BehindFile
	Statement syntax.ScriptStatement
	cause     error
}

func (f *Failed) Error() string { return f.Statement.At(f.File.Name) + ": " + f.cause.Error() }

func (f *Failed) Unwrap() error { return f.cause }

// Session is one whose transaction files run in, one after the other.
type Session struct {
	Conn *pgx.Conn
	// Each: each statement is a transaction of its own in place.
	Each bool
	// Left is how long a statement may take now, in milliseconds, 0 as long as it likes;
	// nil: what the session has set stays.
	Left func() int64
	// Ran looks at each statement that was run; an error ends the file. Nil: nobody does.
	Ran func(file string, s syntax.ScriptStatement) error
	// Rowless: the tables are empty. Of rows that the files put in, deferred constraints
	// ask for others that are not here; what they refuse then, nobody asks.
	Rowless bool

	// own are the settings that the session goes back to at the end of the file
	// under way, where a statement of it has changed any for the file alone; now
	// are those of the moment.
	own, now map[string]string
}

// moment is a statement of a file, and what happens after it.
type moment struct {
	syntax.ScriptStatement
	sent  bool     // else it is not run, or was before
	ends  bool     // with it a transaction that the file has in place
	atEnd []string // what becomes of temporary tables then
}

// moments of a file, as of one that each statement is sent alone of, or that is sent as
// one text. The last is its end.
func moments(f plans.BehindFile, each bool) []moment {
	var all []moment
	var atEnd []string // of the transaction under way
	alone := each
	for _, st := range append(slices.Clone(f.Statements), endOfFile) {
		m := moment{ScriptStatement: st, ends: alone}
		switch st.Manner {
		case syntax.Begin:
			alone, m.ends = false, false
		case syntax.Boundary:
			alone, m.ends = each, true
		case syntax.Hoist, syntax.Later:
		default:
			m.sent = true
		}
		if m.sent && st.AtEnd != "" {
			atEnd = append(atEnd, st.AtEnd)
		}
		if m.ends {
			m.atEnd, atEnd = atEnd, nil
		}
		all = append(all, m)
	}
	return all
}

var endOfFile = syntax.ScriptStatement{Line: 1, SQL: "(constraints checked at the end of the file)", Manner: syntax.Boundary}

// Describe tells what running a file sends, for a dry run; each as [Session.Each]. Of
// the constraints that begin deferred, which are told so again, only the server knows.
func Describe(f plans.BehindFile, each bool) (all []string) {
	for _, m := range moments(f, each) {
		if m.sent {
			all = append(all, "-- "+m.At(f.Name)+"\n"+m.SQL)
		}
		if m.ends {
			all = append(append(all, checkAll), m.atEnd...)
		}
	}
	return all
}

// Run runs a file. Errors are [*Failed], or what Ran returned.
func (s *Session) Run(ctx context.Context, f plans.BehindFile) error {
	for _, m := range moments(f, s.Each) {
		if m.sent {
			if err := s.statement(ctx, m.ScriptStatement); err != nil {
				return &Failed{f, m.ScriptStatement, err}
			}
		}
		if m.ends {
			if err := s.end(ctx, m.atEnd); err != nil {
				return &Failed{f, m.ScriptStatement, err}
			}
		}
		if s.Ran == nil {
			continue
		}
		if err := s.Ran(f.Name, m.ScriptStatement); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) statement(ctx context.Context, st syntax.ScriptStatement) error {
	local := st.Manner == syntax.Local || strings.Contains(strings.ToLower(st.SQL), "set_config")
	if local && s.own == nil {
		if err := s.rememberSettings(ctx, st.SQL); err != nil {
			return err
		}
	}
	if s.Left != nil {
		if err := pg.ExecScript(ctx, s.Conn, fmt.Sprintf("SET LOCAL statement_timeout = %d", s.Left())); err != nil {
			return err
		}
	}
	if err := pg.ExecScript(ctx, s.Conn, st.SQL); err != nil {
		return err
	}
	if s.Conn.PgConn().TxStatus() != 'T' {
		return errors.New("the migration ended the transaction of the swap")
	}
	if s.own == nil || local && st.Manner == syntax.Local {
		return nil
	}
	return s.noteSettings(ctx, st)
}

// settings are the session's, its role among them.
func (s *Session) settings(ctx context.Context, custom ...string) (map[string]string, error) {
	return catalog.Settings(ctx, s.Conn, append(custom, "role"))
}

// rememberSettings keeps what SET LOCAL hides: in place it ends with the file,
// here the transaction goes on.
func (s *Session) rememberSettings(ctx context.Context, sql string) (err error) {
	if s.own, err = s.settings(ctx, catalog.CustomSettings(sql)...); err != nil {
		return err
	}
	s.now = maps.Clone(s.own)
	return nil
}

// noteSettings takes what a SET for the session has changed for the session's own.
func (s *Session) noteSettings(ctx context.Context, st syntax.ScriptStatement) error {
	if st.Manner != syntax.Session {
		return nil
	}
	after, err := s.settings(ctx)
	if err != nil {
		return err
	}
	for name, value := range after {
		if s.now[name] != value {
			s.own[name] = value
		}
	}
	s.now = after
	return nil
}

// end does what the end of a file's own transaction does in place:
// deferred constraints are checked, temporary tables with ON COMMIT lose their rows
// or go, and SET LOCAL ends.
func (s *Session) end(ctx context.Context, temporary []string) error {
	if err := s.checkConstraints(ctx); err != nil {
		return err
	}
	if len(temporary) > 0 {
		if err := pg.ExecScript(ctx, s.Conn, strings.Join(temporary, "; ")); err != nil {
			return err
		}
	}
	return s.restoreSettings(ctx)
}

// checkAll fails where a deferred constraint does not hold.
const checkAll = "SET CONSTRAINTS ALL IMMEDIATE"

// checkConstraints checks the deferred ones. SET CONSTRAINTS lasts to the end of the
// transaction, so those that begin deferred are told so again.
func (s *Session) checkConstraints(ctx context.Context) error {
	deferred, err := s.deferredConstraints(ctx)
	if err != nil {
		return err
	}
	script := checkAll
	if deferred != "" {
		script += "; SET CONSTRAINTS " + deferred + " DEFERRED"
	}
	if !s.Rowless {
		return pg.ExecScript(ctx, s.Conn, script)
	}
	if err := pg.ExecScript(ctx, s.Conn, "SAVEPOINT pgumbra_end"); err != nil {
		return err
	}
	err = pg.ExecScript(ctx, s.Conn, script)
	switch {
	case err == nil:
		return pg.ExecScript(ctx, s.Conn, "RELEASE pgumbra_end")
	case pgerrcode.IsIntegrityConstraintViolation(pg.State(err)):
		return pg.ExecScript(ctx, s.Conn, "ROLLBACK TO pgumbra_end; RELEASE pgumbra_end")
	}
	return err
}

func (s *Session) deferredConstraints(ctx context.Context) (string, error) {
	var names *string
	err := s.Conn.QueryRow(ctx, `SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('%I.%I', n.nspname, c.conname), ', ')
		FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace WHERE c.condeferred`).Scan(&names)
	if err != nil || names == nil {
		return "", err
	}
	return *names, nil
}

func (s *Session) restoreSettings(ctx context.Context) error {
	names, values := pairs(s.own)
	s.own, s.now = nil, nil
	if len(names) == 0 {
		return nil
	}
	_, err := s.Conn.Exec(ctx, `SELECT pg_catalog.set_config(n.name, n.value, false) FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS n (name, value)
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
