package catalog

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// Session is what a session of production.dsn has without our settings.
type Session struct {
	User       string
	Database   string
	Superuser  bool
	Server     int      // server_version_num
	Path       string   // pg_catalog comes first in it, named or not
	Before     []string // schemas that production's own search_path has before pg_catalog
	TimeZone   string
	DateStyle  string
	Encoding   string
	Schemas    []string // of path, those that exist
	Parameters map[string]string
	Texts      map[string]string // by name, as they are shown
}

// ReadSession opens a session as a client of production would and reads what
// migrations and transforms depend on; texts are the names of settings to keep.
func ReadSession(ctx context.Context, dsn string, texts []string) (Session, error) {
	s := Session{Parameters: map[string]string{}, Texts: map[string]string{}}
	conn, before, err := connect(ctx, dsn)
	if err != nil {
		return s, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, `SELECT session_user, current_database(), current_schemas(false)::text[],
		(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
		current_setting('server_version_num')::int, current_setting('search_path'),
		current_setting('TimeZone'), current_setting('DateStyle'), current_setting('server_encoding')`).
		Scan(&s.User, &s.Database, &s.Schemas, &s.Superuser, &s.Server, &s.Path, &s.TimeZone, &s.DateStyle, &s.Encoding)
	if err != nil {
		return s, fmt.Errorf("read the session's settings: %w", err)
	}
	s.Path = withUser(s.Path, s.User)
	for _, element := range before {
		s.Before = append(s.Before, pg.Named(withUser(element, s.User)))
	}
	if err := s.readTexts(ctx, conn, texts); err != nil {
		return s, err
	}
	return s, s.readParameters(ctx, conn)
}

func (s *Session) readTexts(ctx context.Context, conn *pgx.Conn, names []string) error {
	rows, err := conn.Query(ctx, `SELECT name, current_setting(name) FROM unnest($1::text[]) AS s (name)`, names)
	if err != nil {
		return fmt.Errorf("read the session's settings: %w", err)
	}
	var name, setting string
	_, err = pgx.ForEachRow(rows, []any{&name, &setting}, func() error {
		s.Texts[name] = setting
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the session's settings: %w", err)
	}
	return nil
}

// ConnectAsClient opens a session with what role, database and connection string
// set, and nothing of ours but that pg_catalog comes first in its search_path.
func ConnectAsClient(ctx context.Context, dsn string) (*pgx.Conn, error) {
	conn, _, err := connect(ctx, dsn)
	return conn, err
}

// connect takes pg_catalog out of a search_path that has other elements before it,
// which it returns: so it comes first, as where it is not named. Whoever may create in
// a schema before it makes an operator = of his own, and each statement of ours would
// run it with our rights; a dry run did so 718 times. SHOW and SET call nothing.
func connect(ctx context.Context, dsn string) (conn *pgx.Conn, before []string, err error) {
	if conn, err = pg.ConnectAsClient(ctx, dsn, "plan"); err != nil {
		return nil, nil, err
	}
	var path string
	if err = conn.QueryRow(ctx, "SHOW search_path").Scan(&path); err == nil {
		elements := pg.Elements(path)
		at := slices.IndexFunc(elements, func(e string) bool { return pg.Named(e) == "pg_catalog" })
		if at > 0 {
			before = slices.Clone(elements[:at])
			_, err = conn.Exec(ctx, "SET search_path = "+strings.Join(slices.Delete(elements, at, at+1), ", "))
		}
	}
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, nil, fmt.Errorf("read the session's search_path: %w", err)
	}
	return conn, before, nil
}

// OwnParameters are settings of ours or of no meaning to the migrations.
var OwnParameters = regexp.MustCompile(`^(search_path|application_name|client_encoding|default_transaction_.*|statement_timeout|lock_timeout|idle_.*|transaction_timeout|log_.*|session_preload_libraries|local_preload_libraries)$`)

// readParameters reads what the database, the role or the connection string
// set, so that migrations in scratch run as they would in production. Settings that
// only the user's own functions know (app.tenant) pg_settings does not show.
func (s *Session) readParameters(ctx context.Context, conn *pgx.Conn) error {
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
		if !OwnParameters.MatchString(name) {
			s.Parameters[name] = setting
		}
		return nil
	})
	return err
}

// Custom are the settings that only the user's own functions read: app.tenant.
func (s *Session) Custom() map[string]string {
	all := maps.Clone(s.Parameters)
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
