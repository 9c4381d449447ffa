package upgrade_test

import (
	"context"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

const databaseFormats = `
	DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET bytea_output = ''escape''', current_database());
		EXECUTE format('ALTER DATABASE %I SET extra_float_digits = -9', current_database());
		EXECUTE format('ALTER DATABASE %I SET intervalstyle = ''iso_8601''', current_database());
		EXECUTE format('ALTER DATABASE %I SET datestyle = ''German, DMY''', current_database());
		EXECUTE format('ALTER DATABASE %I SET timezone = ''Europe/Rome''', current_database());
	END $$;
	CREATE SCHEMA shop;
	CREATE TABLE shop.vals (id int PRIMARY KEY, b bytea, f float8, i interval, d date, m money, at timestamptz, local timestamp, fs float8[], code text, "odd ""name" float4);
	INSERT INTO shop.vals SELECT g, decode(md5(g::text), 'hex'), g / 3.0, g * interval '1 day 2 hours', date '2024-01-01' + g, g::money,
		timestamptz '2024-01-15 12:00+00' + g * interval '7 hours', timestamp '2024-01-15 12:00' + g * interval '7 hours', ARRAY[g / 7.0, 1], (date '2024-01-01' + g)::text, g / 9.0
	FROM generate_series(1, 200) g;
	CREATE TABLE shop.loose (f float8, t text); INSERT INTO shop.loose SELECT g / 3.0, 'x' FROM generate_series(1, 20) g;`

// TestTextIsThatOfProductionsSession: what a value's text is, and what a text
// means, depends on the session in which the migration runs.
func TestTextIsThatOfProductionsSession(t *testing.T) {
	t.Parallel()
	text := []string{`ALTER TABLE shop.vals ALTER b TYPE text USING b::text; ALTER TABLE shop.vals ALTER f TYPE text; ALTER TABLE shop.vals ALTER i TYPE text;
		ALTER TABLE shop.vals ALTER d TYPE text, ALTER fs TYPE text, ALTER "odd ""name" TYPE varchar(30);
		ALTER TABLE shop.vals ALTER code TYPE date USING code::date; ALTER TABLE shop.loose ALTER f TYPE text;`,
		`ALTER TABLE shop.vals ADD w text; UPDATE shop.vals SET w = f || ' ' || at; ALTER TABLE shop.vals ALTER local TYPE timestamptz; DELETE FROM shop.vals WHERE d = '10.1.2024'::date::text;
		CREATE TABLE shop.days (id int PRIMARY KEY, t text NOT NULL, n int); INSERT INTO shop.days SELECT id, 'on ' || code, 3 FROM shop.vals WHERE code > '1.2.2024'`}
	zone := []string{"SET TIME ZONE 'America/New_York'; ALTER TABLE shop.vals ALTER local TYPE timestamptz;",
		"BEGIN; SET LOCAL datestyle = 'SQL, MDY'; SET LOCAL extra_float_digits = 1; ALTER TABLE shop.vals ALTER d TYPE text, ALTER f TYPE text; COMMIT; ALTER TABLE shop.vals ADD seen text; UPDATE shop.vals SET seen = at;",
		"RESET ALL; ALTER TABLE shop.vals ADD t text; UPDATE shop.vals SET t = at; SELECT set_config('bytea_output', 'hex', false); ALTER TABLE shop.vals ALTER b TYPE text USING b::text"}
	for name, c := range map[string]struct {
		migrations []string
		remote     bool
	}{"database": {text, false}, "database, apart": {text, true}, "migrations": {zone, false}, "migrations, apart": {zone, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			h := history{structure: databaseFormats, migrations: c.migrations, planFile: "watch: {enabled: false}\n"}
			if c.remote {
				h.remote = testcontainers.Database(t)
			}
			w := build(t, h)
			w.run(ctx, upgrade.Options{Until: "following"})
			change := `INSERT INTO shop.vals SELECT 1000, '\x00ff', 1 / 7.0, '3 days', '2024-12-03', 5, '2024-07-01 00:00+00', '2024-07-01 00:00', '{0.1}', '3.12.2024', 0.1;
				UPDATE shop.vals SET f = f + 0.1, local = local + interval '1 hour' WHERE id % 9 = 0; DELETE FROM shop.vals WHERE id = 7; INSERT INTO shop.loose VALUES (1 / 7.0, 'y'), (1 / 7.0, 'y'); DELETE FROM shop.loose WHERE f < 2`
			exec(t, w.production, change)
			exec(t, w.oracleDSN, change)
			w.run(ctx, upgrade.Options{Cutover: true})
			w.upgraded(ctx)
			var left int
			must(t, one(w.production, "SELECT count(*) FROM pg_proc WHERE proname LIKE 'transform\\_%'", &left))
			if left != 0 {
				t.Errorf("%d functions are left", left)
			}
		})
	}
}
