package upgrade_test

import (
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/upgrade"
)

// TestColumnsOfHeirsKeepTheirOrder: a parent's late columns come after those of
// its children, at all levels, whether production or the migrations added them;
// and so do those of a table that was tied to its parent later.
func TestColumnsOfHeirsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	w := build(t, history{
		structure: `CREATE SCHEMA shop;
			CREATE FUNCTION shop.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
			CREATE TABLE shop.base (id serial PRIMARY KEY, kind text NOT NULL CHECK (kind <> ''), "a,b" numeric(10,2) DEFAULT 1.5);
			CREATE VIEW shop.between AS SELECT id FROM shop.base;
			CREATE TABLE shop.child (extra int, g int GENERATED ALWAYS AS (shop.twice(extra)) STORED, PRIMARY KEY (id)) INHERITS (shop.base);
			CREATE TABLE shop.grand (z text DEFAULT E'x\ny,\n    q int', PRIMARY KEY (id)) INHERITS (shop.child);
			ALTER TABLE shop.base ADD COLUMN at timestamptz DEFAULT '2024-02-02', ADD CONSTRAINT later CHECK (at IS NOT NULL);
			ALTER TABLE shop.child ADD COLUMN more text; ALTER TABLE shop.child ALTER kind SET DEFAULT 'c';
			CREATE TABLE shop.second (PRIMARY KEY (id)) INHERITS (shop.base);
			CREATE TABLE shop.alone (kind text NOT NULL, own int, id int PRIMARY KEY, "a,b" numeric(10,2), at timestamptz,
				CONSTRAINT base_kind_check CHECK (kind <> ''), CONSTRAINT later CHECK (at IS NOT NULL));
			ALTER TABLE shop.alone INHERIT shop.base;
			INSERT INTO shop.base (kind) SELECT 'b' FROM generate_series(1, 50);
			INSERT INTO shop.child (extra) SELECT n FROM generate_series(1, 50) n;
			INSERT INTO shop.grand (extra, more) SELECT n, 'm' FROM generate_series(1, 50) n;
			INSERT INTO shop.second (kind) VALUES ('s');
			INSERT INTO shop.alone VALUES ('alone', 1, 100000, 2, '2024-01-01');`,
		migrations: []string{"ALTER TABLE shop.base ADD COLUMN last int DEFAULT 7; ALTER TABLE shop.grand ADD COLUMN its date; ALTER TABLE shop.child ADD COLUMN end_of text;"},
	})
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
	w.upgraded(ctx)
	const order = `SELECT string_agg(line, E'\n' ORDER BY line) FROM (SELECT attrelid::regclass || ': ' || string_agg(format('%s%s%s', attname, attinhcount, attislocal), ', ' ORDER BY attnum) AS line
		FROM pg_attribute WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r') AND attnum > 0 AND NOT attisdropped GROUP BY attrelid) AS tables`
	var want, got string
	must(t, one(w.oracleDSN, order, &want))
	must(t, one(w.production, order, &got))
	if got != want {
		t.Errorf("in place:\n%s\nupgraded:\n%s", want, got)
	}
}
