package catalog

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"
)

// settingsSQL leaves out what ends with each statement or transaction anyway.
const settingsSQL = `SELECT name, setting FROM pg_catalog.pg_settings
	WHERE context IN ('user', 'superuser') AND name NOT IN ('statement_timeout', 'transaction_isolation', 'transaction_read_only', 'transaction_deferrable')
	UNION ALL SELECT n, pg_catalog.current_setting(n, true) FROM pg_catalog.unnest($1::text[]) AS n WHERE pg_catalog.current_setting(n, true) IS NOT NULL`

// Settings are those of a session that it may change itself, by name. also names what
// PostgreSQL does not list: the role, and what only the user's functions know.
func Settings(ctx context.Context, conn *pgx.Conn, also []string) (map[string]string, error) {
	rows, err := conn.Query(ctx, settingsSQL, pgx.QueryExecModeExec, also) // the user's SQL may have dropped prepared statements
	if err != nil {
		return nil, fmt.Errorf("read the settings of the migrations' session: %w", err)
	}
	all := map[string]string{}
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		all[name] = value
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the settings of the migrations' session: %w", err)
	}
	return all, nil
}

// AsGiven are the settings, by name, that the session has not changed since it began. Those
// of a library that was loaded meanwhile, as of PL/pgSQL by the first DO, are among them.
func AsGiven(ctx context.Context, conn *pgx.Conn) (map[string]bool, error) {
	rows, err := conn.Query(ctx, `SELECT name FROM pg_catalog.pg_settings WHERE setting OPERATOR(pg_catalog.=) reset_val`, pgx.QueryExecModeExec)
	if err != nil {
		return nil, fmt.Errorf("read the settings of the migrations' session: %w", err)
	}
	all := map[string]bool{}
	var name string
	_, err = pgx.ForEachRow(rows, []any{&name}, func() error {
		all[name] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the settings of the migrations' session: %w", err)
	}
	return all, nil
}

var customSetting = regexp.MustCompile(`(?i)\b[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*\b`)

// CustomSettings are names in a text that may be settings which only the user's functions
// know: app.tenant.
func CustomSettings(sql string) []string { return customSetting.FindAllString(sql, -1) }

// SetAll sets settings for the session.
func SetAll(ctx context.Context, conn *pgx.Conn, settings map[string]string) error {
	if len(settings) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(settings))
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = settings[name]
	}
	_, err := conn.Exec(ctx, `SELECT pg_catalog.set_config(n, v, false) FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS s (n, v)`, names, values)
	if err != nil {
		return fmt.Errorf("set what a session of production has: %w", err)
	}
	return nil
}
