package planner

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
)

//go:embed findings_locale_keys.sql
var localeKeysSQL string

// folding is by what a database folds case, and compares under a collation that
// is not deterministic.
type folding struct {
	database string // provider, locale and version of the database's own
	icu      string // version of the server's ICU
}

// readFolding asks one side. The version of a libc locale is asked of a collation
// that has the same name: before 15 a database does not say its own.
func readFolding(ctx context.Context, db pg.Querier) (f folding, err error) {
	l, err := readLocale(ctx, db)
	if err != nil {
		return f, err
	}
	var libc, major string
	err = db.QueryRow(ctx, `SELECT coalesce((SELECT max(pg_collation_actual_version(oid)) FROM pg_collation WHERE collprovider = 'c' AND lower(replace(collctype, '-', '')) = $1), ''),
		coalesce((SELECT max(pg_collation_actual_version(oid)) FROM pg_collation WHERE collname = 'und-x-icu' AND collprovider = 'i'), 'none'),
		(current_setting('server_version_num')::int / 10000)::text`, spelled(l.Ctype)).Scan(&libc, &f.icu, &major)
	if err != nil {
		return f, fmt.Errorf("read the versions of locales: %w", err)
	}
	switch l.Provider { // LC_COLLATE sorts, and folds nothing
	case "i":
		f.database = "icu " + l.Locale + " " + f.icu
	case "b":
		f.database = "builtin " + l.Locale + " of PostgreSQL " + major
	default:
		f.database = strings.TrimSpace("libc " + spelled(l.Ctype) + " " + libc)
	}
	return f, nil
}

// spelled: C.UTF-8 and C.utf8 are one locale.
func spelled(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "") }

// checkLocaleKeys: a key that is case-blind, or equal by a collation that is not
// deterministic, may take two rows of production's for one, or let in two that
// production would have refused, where the locale is another.
func (m *trial) checkLocaleKeys(ctx context.Context) error {
	ours, err := readFolding(ctx, m.db)
	if err != nil {
		return err
	}
	theirs, err := readFolding(ctx, m.side.db)
	if err != nil || ours == theirs {
		return err
	}
	var schemas []string
	for _, s := range m.plan.Schemas {
		schemas = append(schemas, s.Shadow)
	}
	rows, err := m.scratch.db.Query(ctx, localeKeysSQL, schemas)
	if err != nil {
		return fmt.Errorf("look for keys that depend on the locale: %w", err)
	}
	var index, by, what string
	_, err = pgx.ForEachRow(rows, []any{&index, &by, &what}, func() error {
		here, there := ours.database, theirs.database
		if by == "icu" {
			here, there = "ICU "+ours.icu, "ICU "+theirs.icu
		}
		if here != there {
			m.blocker("locale-key", m.trueName(index), fmt.Sprintf("what this index takes for equal depends on the locale (%s): it is %s in production and %s on the shadow's server, where two rows may become one, or one key may be taken twice",
				what, here, there), "make the shadow's database with production's provider and locale, of the same version; or give the key a form that no locale changes, before the upgrade")
		}
		return nil
	})
	return err
}

// trueName is an object's name under production's schema.
func (m *task) trueName(name string) string {
	for _, s := range m.plan.Schemas {
		if rest, found := strings.CutPrefix(name, s.Shadow+"."); found {
			return s.Production + "." + rest
		}
	}
	return name
}
