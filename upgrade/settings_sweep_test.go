package upgrade_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// setting is one that a database or a role may have, with a value that few have.
type setting struct{ name, value string }

// unusual are values for settings whose bounds would say too little, or too much:
// "" leaves one out.
var unusual = map[string]string{
	// Texts.
	"search_path": `"$user", public, pg_catalog`, "DateStyle": "German, DMY", "TimeZone": "Asia/Kathmandu", "client_encoding": "LATIN1",
	"timezone_abbreviations": "India", "default_text_search_config": "pg_catalog.german", "application_name": "pgumbra/work",
	"createrole_self_grant": "set, inherit", "restrict_nonsystem_relation_kind": "foreign-table",
	// What would end every session, ours and the migrations' in place.
	"max_stack_depth": "200kB", "temp_file_limit": "20MB", "vacuum_cost_delay": "1ms", "vacuum_cost_limit": "2000", "commit_delay": "100",
	"autovacuum_vacuum_cost_delay": "1ms", "gin_fuzzy_search_limit": "1000", "effective_io_concurrency": "1",
	"temp_buffers": "1MB", "log_parameter_max_length": "1", "log_parameter_max_length_on_error": "1",
	// The migrations in place break, too.
	"default_transaction_read_only": "", "zero_damaged_pages": "", "ignore_checksum_failure": "", "allow_system_table_mods": "",
	"exit_on_error": "", // golang-migrate itself goes by an error
	// Not defaults of a session.
	"role": "", "session_authorization": "", "transaction_isolation": "", "transaction_read_only": "", "transaction_deferrable": "", "seed": "",
	// One excludes the others; all of them only fill the server's log.
	"log_parser_stats": "", "log_planner_stats": "", "log_executor_stats": "", "log_statement_stats": "",
	"debug_print_parse": "", "debug_print_rewritten": "", "debug_print_plan": "", "trace_sort": "", "trace_notify": "",
	// Slow by purpose, for the server's developers.
	"debug_discard_caches": "", "wal_consistency_checking": "", "post_auth_delay": "",
}

// patience are the limits that would end a session of ours; those of the migrations
// in place are left as they are.
var patience = []setting{{"statement_timeout", "1ms"}, {"lock_timeout", "1ms"}, {"idle_in_transaction_session_timeout", "1ms"},
	{"idle_session_timeout", "1ms"}}

// settingsOfAnyKind are all that a database may have a value of its own for, by
// the server's catalog.
func settingsOfAnyKind(t *testing.T, dsn string) []setting {
	t.Helper()
	ctx := limited(t, time.Minute)
	conn, err := pgx.Connect(ctx, dsn)
	must(t, err)
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `SELECT name, vartype, setting, coalesce(enumvals, '{}'), coalesce(min_val, ''), coalesce(max_val, ''), coalesce(unit, '')
		FROM pg_settings WHERE context IN ('user', 'superuser') AND name !~ '\.' ORDER BY name`)
	must(t, err)
	var name, kind, now, low, high, unit string
	var labels []string
	var all []setting
	var left []string
	_, err = pgx.ForEachRow(rows, []any{&name, &kind, &now, &labels, &low, &high, &unit}, func() error {
		value, known := unusual[name]
		switch {
		case known || slices.ContainsFunc(patience, func(s setting) bool { return s.name == name }) || name == "transaction_timeout":
		case kind == "bool":
			value = map[string]string{"on": "off", "off": "on"}[now]
		case kind == "enum" && len(labels) > 1: // a server that was built without others has one
			value = slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return l == now })[len(labels)-2]
		case kind == "integer" || kind == "real":
			if value = low; low == now {
				value = high
			}
		}
		if value == "" {
			left = append(left, name)
		} else {
			all = append(all, setting{name, value})
		}
		return nil
	})
	must(t, err)
	t.Logf("%d settings; left out: %s", len(all), strings.Join(left, ", "))
	return all
}

// TestSettingsOfADatabaseChangeNothing: each setting that a database or a role may
// have has an unusual value, and an upgrade makes what the migrations make in
// place under the same ones. When a group of settings fails, its halves are tried.
func TestSettingsOfADatabaseChangeNothing(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	all := settingsOfAnyKind(t, testcontainers.Database(t))
	const groups = 3
	for _, n := range testcontainers.Some(t, []int{0, 1, 2}, 1) {
		var some []setting
		for i, s := range all {
			if i%groups == n {
				some = append(some, s)
			}
		}
		t.Run(fmt.Sprint("group ", n), func(t *testing.T) {
			t.Parallel()
			sweepSettings(t, some)
		})
	}
	t.Run("patience", func(t *testing.T) {
		t.Parallel()
		settingsChangeNothing(t, patience)
	})
}

func sweepSettings(t *testing.T, some []setting) {
	t.Helper()
	var names []string
	for _, s := range some {
		names = append(names, s.name)
	}
	works := t.Run(strings.Join(names[:min(len(names), 2)], ",")+fmt.Sprint(",", len(names)), func(t *testing.T) {
		t.Log(some)
		settingsChangeNothing(t, some)
	})
	if !works && len(some) > 1 {
		sweepSettings(t, some[:len(some)/2])
		sweepSettings(t, some[len(some)/2:])
	}
}

func settingsChangeNothing(t *testing.T, some []setting) {
	t.Helper()
	ctx := limited(t, 4*time.Minute)
	w := build(t, history{structure: manyTypes, migrations: manyChanges})
	var role string
	must(t, one(w.production, "SELECT 'swept_' || md5(current_database())", &role))
	exec(t, w.production, "CREATE ROLE "+role+" SUPERUSER LOGIN")
	t.Cleanup(func() { exec(t, w.production, "DROP OWNED BY "+role+" CASCADE; DROP ROLE "+role) })
	for _, s := range some {
		value := "'" + strings.ReplaceAll(s.value, "'", "''") + "'"
		if s.name == "search_path" {
			value = s.value
		}
		if slices.Contains(patience, s) { // only ours
			exec(t, w.production, fmt.Sprintf("ALTER ROLE %s SET %s = %s", role, s.name, value))
			continue
		}
		for _, dsn := range []string{w.production, w.oracleDSN} {
			exec(t, dsn, fmt.Sprintf(`DO $do$ BEGIN EXECUTE format('ALTER DATABASE %%I SET %s = %s', current_database()); END $do$`, s.name, strings.ReplaceAll(value, "'", "''")))
		}
	}
	direct := w.production
	w.planAs(role)
	w.run(ctx, upgrade.Options{Until: control.Following})
	for _, dsn := range []string{direct, w.oracleDSN} {
		exec(t, dsn, meanwhile)
	}
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	w.upgraded(ctx)
}

// planAs lets the plan file connect as another role.
func (w *world) planAs(role string) {
	w.t.Helper()
	text, err := os.ReadFile(w.planPath)
	must(w.t, err)
	as := strings.Replace(w.production, "://postgres@", "://"+role+"@", 1)
	if as == w.production {
		w.t.Fatal("not a DSN of the role postgres: ", w.production)
	}
	write(w.t, w.planPath, strings.Replace(string(text), w.production, as, 1))
}

const manyTypes = `CREATE SCHEMA shop;
	CREATE TYPE shop.mood AS ENUM ('sad', 'ok');
	CREATE TABLE shop.a (id int PRIMARY KEY, t text, n numeric(10,2), f float8, d date, at timestamptz, i interval, b bytea, j jsonb, xs int[], ts text[],
		m shop.mood DEFAULT 'ok', big text, twice int GENERATED ALWAYS AS (length(t) * 2) STORED);
	INSERT INTO shop.a SELECT g, CASE WHEN g % 7 = 0 THEN NULL ELSE E'a\\b''' || g END, g / 3.0, g / 7.0, date '2024-01-01' + g, timestamptz '2024-01-15 12:00+00' + g * interval '7 hours',
		g * interval '1 day 2 hours', decode(md5(g::text), 'hex'), json_build_object('n', g), ARRAY[g, NULL], ARRAY['x', NULL, 'NULL'], 'sad', repeat(md5(g::text), 100) FROM generate_series(1, 300) g;
	CREATE TABLE shop.b (id serial PRIMARY KEY, a_id int NOT NULL REFERENCES shop.a ON DELETE CASCADE, v text UNIQUE);
	INSERT INTO shop.b (a_id, v) SELECT 1 + g % 300, g FROM generate_series(1, 300) g;
	CREATE TABLE shop.loose (x int, y text); INSERT INTO shop.loose SELECT g % 5, 'y' FROM generate_series(1, 50) g;
	CREATE TABLE shop.p (id int, region text, v int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
	CREATE TABLE shop.p_n PARTITION OF shop.p FOR VALUES IN ('n'); CREATE TABLE shop.p_s PARTITION OF shop.p FOR VALUES IN ('s');
	INSERT INTO shop.p SELECT g, CASE g % 2 WHEN 0 THEN 'n' ELSE 's' END, g FROM generate_series(1, 100) g;
	CREATE VIEW shop.seen AS SELECT x, y FROM shop.loose WHERE y <> 'none';
	CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := NEW.v || ''; RETURN NEW; END $$;
	CREATE TRIGGER touch BEFORE UPDATE ON shop.b FOR EACH ROW EXECUTE FUNCTION shop.touch();
	CREATE INDEX ON shop.a USING gin (j);`

var manyChanges = []string{
	"ALTER TABLE shop.b DROP CONSTRAINT b_a_id_fkey; ALTER TABLE shop.a ALTER COLUMN id TYPE bigint; ALTER TABLE shop.b ALTER COLUMN a_id TYPE bigint; ALTER TABLE shop.b ADD FOREIGN KEY (a_id) REFERENCES shop.a ON DELETE CASCADE;",
	"ALTER TABLE shop.a ADD COLUMN len int;\nUPDATE shop.a SET len = length(t) + CASE WHEN f > 1 THEN 1 ELSE 0 END WHERE t IS NOT NULL;\nALTER TABLE shop.loose ADD COLUMN z int NOT NULL DEFAULT 3;",
	"ALTER TABLE shop.p ADD COLUMN w text DEFAULT 'new';\nALTER TABLE shop.a ALTER COLUMN n TYPE text USING n::text;\nCREATE INDEX ON shop.b (a_id, v);",
}

const meanwhile = `INSERT INTO shop.a (id, t, n, f, b, ts) SELECT g, 'more', 1, 2, decode('00ff', 'hex'), ARRAY['a', NULL] FROM generate_series(301, 340) g;
	UPDATE shop.a SET t = 'none', f = f / 3 WHERE id % 9 = 0; UPDATE shop.b SET v = 'b' || v WHERE id % 5 = 0; DELETE FROM shop.a WHERE id = 8;
	DELETE FROM shop.loose WHERE x = 3; INSERT INTO shop.loose VALUES (1, NULL), (1, NULL); UPDATE shop.p SET region = 's' WHERE id = 2; DELETE FROM shop.p WHERE id = 5;`
