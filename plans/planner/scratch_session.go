package planner

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// golang-migrate runs a whole window in one session, so that SET holds for the files
// after it, too. Those behind the fence run in another session: it begins with what
// the last file before the fence has left. A time zone that a file had set was
// lost there, and times came out other than in place.

// clientSession is the session in which the migrations run in scratch.
type clientSession struct {
	conn  *pgx.Conn
	begun map[string]string // its settings as it began
	left  sessionLeft
	err   error // for which the session could not be looked at
}

// sessionLeft is what a session has from the files that ran in it.
type sessionLeft struct {
	settings map[string]string // those that are no longer as they were
	kept     string            // what cannot be given to another session; empty: nothing
}

// keptSQL tells what lives in a session alone.
const keptSQL = `SELECT coalesce(
	(SELECT 'temporary table ' || relname FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relkind IN ('r', 'p', 'v', 'S') LIMIT 1),
	(SELECT 'temporary function ' || proname FROM pg_catalog.pg_proc WHERE pronamespace = pg_catalog.pg_my_temp_schema() LIMIT 1),
	(SELECT 'prepared statement ' || name FROM pg_catalog.pg_prepared_statements WHERE from_sql LIMIT 1),
	(SELECT 'role ' || current_user WHERE current_user <> session_user), '')`

// beginSession is the migrations' own session, as it begins.
// Where they go on in a new one, because a right was lacking, it has what the one
// before had.
func (m *trial) beginSession(ctx context.Context, conn *pgx.Conn) (err error) {
	if m.sampled {
		return nil
	}
	m.client.conn = conn
	if m.client.begun == nil {
		m.client.begun, err = m.clientSettings(ctx)
		return err
	}
	return catalog.SetAll(ctx, conn, m.client.left.settings)
}

// noteSession notes what a file has left in it.
func (m *trial) noteSession(ctx context.Context) error {
	if m.client.conn.PgConn().TxStatus() != 'I' {
		return nil
	}
	now, err := m.clientSettings(ctx)
	if err != nil {
		return err
	}
	asGiven, err := catalog.AsGiven(ctx, m.client.conn)
	if err != nil {
		return err
	}
	left := sessionLeft{settings: map[string]string{}}
	for name, value := range now {
		if was, known := m.client.begun[name]; known && was != value || !known && !asGiven[name] {
			left.settings[name] = value
		}
	}
	if err := m.client.conn.QueryRow(ctx, keptSQL, pgx.QueryExecModeExec).Scan(&left.kept); err != nil {
		return fmt.Errorf("look what the migrations leave in their session: %w", err)
	}
	m.client.left = left
	return nil
}

// clientSettings leaves out what we set for ourselves.
func (m *trial) clientSettings(ctx context.Context) (map[string]string, error) {
	all, err := catalog.Settings(ctx, m.client.conn, m.customSettings())
	delete(all, "application_name")
	delete(all, "synchronous_commit")
	return all, err
}

var (
	settingStatement = regexp.MustCompile(`(?i)^\s*set\b|\bset_config\b`)
	keepingStatement = regexp.MustCompile(`(?i)\btemp(orary)?\b|pg_temp|^\s*(set|prepare)\b`)
)

// customSettings are names that may be settings which only the user's functions know:
// PostgreSQL lists none of these.
func (m *trial) customSettings() []string {
	names := map[string]bool{}
	for _, p := range m.trace.places {
		if settingStatement.MatchString(p.SQL) {
			for _, name := range catalog.CustomSettings(p.SQL) {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// keepsSession: what lives in a session only is not there behind the fence, so that the
// file which made it has to run there, too.
func (m *trial) keepsSession() {
	kept := m.client.left.kept
	if kept == "" {
		return
	}
	where := ""
	for _, p := range m.trace.places {
		if keepingStatement.MatchString(p.SQL) {
			where = fmt.Sprintf("%s:%d", p.File, p.Line)
			break
		}
	}
	m.find(plans.Finding{Level: plans.Blocker, Code: "session-kept", Object: kept, Where: where, Opaque: true,
		Message: fmt.Sprintf("the migrations before the fence leave a %s in their session, and those behind it run in another one", kept),
		Fix:     "nothing with build: auto; otherwise set migrations.behind_fence_from to the file that makes it"})
}
