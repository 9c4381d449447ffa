package planner

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/catalog"
)

// locale is how a database spells and sorts text.
type locale struct{ Encoding, Collate, Ctype, Provider, Locale, Version string }

func readLocale(ctx context.Context, db pg.Querier) (l locale, err error) {
	rows, err := db.Query(ctx, `SELECT pg_encoding_to_char(d.encoding)::text, d.datcollate::text, d.datctype::text, coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
			coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', ''), coalesce(to_jsonb(d) ->> 'datcollversion', '')
		FROM pg_database d WHERE d.datname = current_database()`)
	if err != nil {
		return l, fmt.Errorf("read the database's locale: %w", err)
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[locale])
}

// checkLocale. Another encoding may lack characters, so it blocks. Another order
// of text makes nothing unequal that was equal, since a database's own collation
// is deterministic, and indexes are built anew on the shadow. Keys that depend on
// it all the same are [trial.checkLocaleKeys]'s.
func (m *site) checkLocale(ctx context.Context) error {
	ours, err := readLocale(ctx, m.db)
	if err != nil {
		return err
	}
	theirs, err := readLocale(ctx, m.side.db)
	if err != nil {
		return err
	}
	if ours.Encoding != theirs.Encoding {
		m.blocker("shadow-encoding", m.side.database, fmt.Sprintf("the shadow's database is encoded in %s, production's in %s", theirs.Encoding, ours.Encoding),
			"make it anew: CREATE DATABASE "+pg.Ident(m.side.database)+" TEMPLATE template0 ENCODING "+pg.Literal(ours.Encoding)+" …;")
	}
	switch {
	case ours.text() != theirs.text():
		m.warning("shadow-locale", m.side.database, fmt.Sprintf("the shadow's database sorts and folds text by %s, production's by %s: ORDER BY, text ranges and bounds of partitions, upper() and lower() may differ", theirs.text(), ours.text()),
			"make it anew with production's: CREATE DATABASE … TEMPLATE template0 LC_COLLATE … LC_CTYPE …; or see that clients do not care")
	case ours.Version != "" && theirs.Version != "" && ours.Version != theirs.Version:
		m.info("shadow-locale-version", m.side.database, fmt.Sprintf("the locale %s is of version %s there and %s in production: some text may sort otherwise; indexes are built anew", ours.text(), theirs.Version, ours.Version), "")
	}
	return nil
}

func (l locale) text() string {
	provider := map[string]string{"c": "libc", "i": "icu", "b": "builtin"}[l.Provider]
	return strings.TrimSpace(provider + " " + l.Locale + " " + l.Collate + "/" + l.Ctype)
}

// checkExtensions: the shadow's server must offer what production has.
func (m *site) checkExtensions(ctx context.Context) error {
	rows, err := m.side.db.Query(ctx, `SELECT name::text, default_version FROM pg_available_extensions`)
	if err != nil {
		return err
	}
	offered := map[string]string{}
	var name, version string
	if _, err := pgx.ForEachRow(rows, []any{&name, &version}, func() error {
		offered[name] = version
		return nil
	}); err != nil {
		return err
	}
	for _, e := range m.after.Extensions {
		for _, ours := range m.production.Extensions {
			if ours.Name == e.Name {
				e.Version = ours.Version // scratch has the newest
			}
		}
		there, ok := offered[e.Name]
		switch {
		case !ok:
			m.blocker("extension-absent", e.Name, fmt.Sprintf("the shadow's server does not offer extension %s, which production has in version %s", e.Name, e.Version),
				"install its files on the shadow's server (Debian: postgresql-contrib or postgresql-"+fmt.Sprint(m.side.server/10000)+"-…), or drop the extension")
		case there != e.Version:
			m.info("extension-version", e.Name, fmt.Sprintf("version %s is installed on the shadow; production has %s", there, e.Version), "")
		}
	}
	return m.extensionRows(ctx)
}

// extensionRows finds rows that an extension keeps for its user: no dump of the
// schemas holds them.
func (m *survey) extensionRows(ctx context.Context) error {
	rows, err := m.db.Query(ctx, `SELECT e.extname::text, c.oid::regclass::text, coalesce(k.condition, '')
		FROM pg_extension e CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) AS k (oid, condition)
		JOIN pg_class c ON c.oid = k.oid AND c.relkind IN ('r', 'p') ORDER BY 1, 2`)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Extension, Table, Condition string }])
	if err != nil {
		return err
	}
	for _, t := range all {
		var holds bool
		err := m.db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+t.Table+" "+t.Condition+")").Scan(&holds)
		if pg.State(err) == "" && err != nil {
			return err
		}
		if holds || err != nil { // what we may not read may hold rows
			m.warning("extension-rows", t.Table, "extension "+t.Extension+" keeps rows of yours in this table, which are not carried over", "copy them by hand: they are what pg_dump --table="+t.Table+" writes")
		}
	}
	return nil
}

// checkCollations: columns' own ones, as far as they are the system's.
func (m *site) checkCollations(ctx context.Context) error {
	var wanted []string
	for _, t := range m.after.Tables {
		for _, c := range t.Columns {
			if m.moving(t.Name.Schema) && strings.HasPrefix(c.Collation, "pg_catalog.") && !slices.Contains(wanted, c.Collation) {
				wanted = append(wanted, c.Collation)
			}
		}
	}
	for _, name := range wanted {
		var there bool
		if err := m.side.db.QueryRow(ctx, `SELECT to_regcollation($1) IS NOT NULL`, name).Scan(&there); err != nil {
			return err
		}
		if !there {
			m.blocker("collation-absent", name, "the shadow's server does not have this collation, which columns use",
				"install the locale in its operating system, then there: SELECT pg_import_system_collations('pg_catalog');")
		}
	}
	return nil
}

//go:embed findings_settings.sql
var settingsSQL string

type setting struct{ Name, Value, Source string }

func readSettings(ctx context.Context, dsn string) (map[string]setting, error) {
	conn, err := catalog.ConnectAsClient(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, settingsSQL)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[setting])
	byName := map[string]setting{}
	for _, s := range all {
		byName[s.Name] = s
	}
	return byName, err
}

// checkSettings compares servers' settings, as a client's session finds them.
// What the database or the role set is carried over, or compared with the role.
func (m *task) checkSettings(ctx context.Context) error {
	ours, err := readSettings(ctx, m.file.Production.DSN)
	if err != nil {
		return err
	}
	theirs, err := readSettings(ctx, m.file.Shadow.DSN)
	if err != nil {
		return err
	}
	for name, s := range ours {
		t := theirs[name]
		switch {
		case name == "shared_preload_libraries":
			m.comparePreloaded(s.Value, t.Value)
		case strings.HasPrefix(name, "max_"):
			if len(t.Value) < len(s.Value) || len(t.Value) == len(s.Value) && t.Value < s.Value {
				m.settingDiffers(name, s.Value, t.Value, "the shadow's server has less room than production's")
			}
		case s.Value != t.Value && !slices.Contains([]string{"database", "user", "database user", "client"}, s.Source):
			m.settingDiffers(name, s.Value, t.Value, "sessions behave otherwise on the shadow's server")
		}
	}
	return nil
}

func (m *task) settingDiffers(name, ours, theirs, what string) {
	m.warning("setting-differs", name, fmt.Sprintf("%s: %s is %q there and %q in production", what, name, theirs, ours),
		"on the shadow's server: ALTER SYSTEM SET "+setText(name, ours)[len("SET "):]+"; or leave it if it is meant")
}

func (m *task) comparePreloaded(ours, theirs string) {
	there := strings.Split(theirs, ",")
	for i := range there {
		there[i] = strings.TrimSpace(there[i])
	}
	for _, library := range strings.Split(ours, ",") {
		if library = strings.TrimSpace(library); library != "" && !slices.Contains(there, library) {
			m.warning("setting-differs", "shared_preload_libraries", "the shadow's server does not preload "+library+", which production's does",
				"add it to shared_preload_libraries there and restart it, if it is still wanted")
		}
	}
}
