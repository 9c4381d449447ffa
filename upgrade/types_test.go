package upgrade_test

import (
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

const oddTypes = `CREATE SCHEMA shop; CREATE EXTENSION citext; CREATE EXTENSION hstore; SET search_path = shop, public;
	CREATE TYPE shop.mood AS ENUM ('sad', 'ok', 'happy');
	CREATE DOMAIN shop.short AS varchar(6) CHECK (VALUE <> ''); CREATE DOMAIN shop.shorter AS shop.short CHECK (length(VALUE) < 6);
	CREATE DOMAIN shop.list AS int[] CHECK (cardinality(VALUE) < 9);
	CREATE TYPE shop.addr AS (street shop.short, mood shop.mood, at timestamptz(0)); CREATE TYPE shop.nested AS (a shop.addr[], n numeric(6,2));
	CREATE TYPE shop.moods AS RANGE (subtype = shop.mood, multirange_type_name = shop.multimoods); CREATE TYPE shop.floats AS RANGE (subtype = float8, subtype_diff = float8mi);
	CREATE DOMAIN shop.place AS shop.addr CHECK ((VALUE).mood <> 'sad');
	CREATE COLLATION shop.insensitive (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	CREATE TABLE shop.odd (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m shop.mood, ms shop.mood[], s shop.shorter, ss shop.shorter[], l shop.list,
		a shop.addr, n shop.nested, ns shop.nested[], mr shop.moods, mm shop.multimoods, fr shop.floats, p shop.place, ci citext, cis citext[], h hstore,
		x xml, money money, tv tsvector, tq tsquery, jp jsonpath, vb bit varying(9), b3 bit(3), one "char", nm name, iv interval hour to minute, iv2 interval(2), tz timetz, t0 time(0),
		ts timestamp(1), num numeric(8,3), neg numeric(5,-2), j json, jb jsonb, ba bytea, c6 char(6), cs char(3)[], rt regtype, rr regrole, rc regclass, u uuid, inet inet, cidr cidr, mac macaddr8,
		pt point, pg polygon, lsn pg_lsn, f4 float4, f8 float8, te text COLLATE shop.insensitive, g text GENERATED ALWAYS AS (upper(nm::text)) STORED, mt int4multirange);
	CREATE TABLE shop.by_key (k shop.shorter COLLATE "C", e shop.mood, n numeric, v text, PRIMARY KEY (k, e, n));
	CREATE TABLE shop.by_text (k text COLLATE shop.insensitive PRIMARY KEY, v text);
	CREATE TABLE shop.loose (a shop.addr, f float8, t text, ts timestamptz);
	ALTER TABLE shop.by_key ENABLE ROW LEVEL SECURITY; ALTER TABLE shop.by_key FORCE ROW LEVEL SECURITY; CREATE POLICY none ON shop.by_key USING (v IS NULL);`

const oddRows = `SET search_path = shop, public; INSERT INTO shop.odd (m, ms, s, ss, l, a, n, ns, mr, mm, fr, p, ci, cis, h, x, money, tv, tq, jp, vb, b3, one, nm, iv, iv2, tz, t0, ts, num, neg, j, jb, ba, c6, cs, rt, rr, rc, u, inet, cidr, mac, pt, pg, lsn, f4, f8, te, mt)
	SELECT (ARRAY['sad','ok','happy'])[i % 3 + 1]::mood, ARRAY['ok', NULL, 'sad']::mood[], CASE WHEN i % 4 > 0 THEN 'v ' || i % 100 || ' ' END, ARRAY['a"b', NULL, ' x ']::shorter[], CASE WHEN i % 2 = 0 THEN ARRAY[[1,2],[3,i]] END,
		ROW('st,"' || i % 10, 'ok', timestamptz '2026-02-03 04:05:06.7+00')::addr, ROW(ARRAY[ROW(NULL, 'sad', 'infinity')::addr, NULL], i / 7.0)::nested, ARRAY[ROW(NULL, 1)::nested], moods('sad', 'happy', '[]'), multirange(moods('sad', 'ok')), floats(i / 3.0, NULL),
		CASE WHEN i % 5 > 0 THEN ROW(NULL, 'ok', '-infinity')::addr END, 'MiXed' || i, ARRAY['Ä', 'ß']::citext[], hstore('k' || i, NULL) || hstore('a"', E'\\\n'), '<?xml version="1.0"?><a>&amp;ä</a>', i * 1.01, to_tsvector('english', 'the fat cats ' || i), 'fat & !cat:ab', '$.a[*] ? (@ > 1)',
		i::bit(9)::varbit, i::bit(3), chr(65 + i % 26)::"char", repeat('n', 63), i * interval '1 minute', i * interval '1.234567 s', '12:00:00.123456+05:30', '23:59:59.6', timestamptz '2026-02-03 04:05:06.7+00' + i * interval '1 s', i / 3.0, i * 1000,
		'{"b":1,  "a" : 1.0, "a":2}', '{"b":1.00,"a":"\u00e4"}', decode(repeat('00ff5c', i % 40), 'hex'), 'c' || i % 7, ARRAY['a', 'b ', NULL]::char(3)[], 'integer[]', current_user::regrole, 'pg_class', md5(i::text)::uuid, '10.0.0.0/8', '10.0.0.0/8', '08:00:2b:01:02:03:04:05',
		point(i, 'NaN'), '((0,0),(1,1),(1,0))', '16/B374D848', 'NaN', CASE i % 4 WHEN 0 THEN '-0' WHEN 1 THEN 'Infinity' WHEN 2 THEN 0.1 + 0.2 ELSE 5e-324 END, 'TeXt' || E'\n\\.\n\t' || i, '{[1,3),[5,7)}'
	FROM generate_series(1, 3000) i;
	INSERT INTO by_key SELECT 'k' || i % 50, (ARRAY['sad','ok','happy'])[i % 3 + 1]::mood, i / 10.0, 'v' || i FROM generate_series(1, 2000) i;
	INSERT INTO by_text SELECT 'Key' || i, i FROM generate_series(1, 500) i;
	INSERT INTO loose SELECT ROW('x', 'ok', timestamptz '2026-02-03 04:05:06.7+00')::addr, i % 3, CASE WHEN i % 4 > 0 THEN 't' || i % 5 END, timestamptz '2026-02-03 04:05:06.7+00' FROM generate_series(1, 500) i;`

const oddChanges = `SET search_path = shop, public;
	UPDATE odd SET m = 'happy', s = 'new', ts = ts + interval '0.123456 s', c6 = 'longer', n.n = 9999.99, ci = upper(ci), f8 = '-0', num = num * 2 WHERE id % 7 = 0;
	DELETE FROM odd WHERE id % 11 = 0; INSERT INTO odd (m, a, x, te) SELECT 'ok', ROW('new', NULL, '2026-01-01 00:00:00.7+00')::addr, '<b/>', 'É' || i FROM generate_series(1, 300) i;
	UPDATE by_key SET n = n::numeric(10,4) WHERE v LIKE '%1'; UPDATE by_key SET k = 'z' || k WHERE v LIKE '%2' AND n < 50; DELETE FROM by_key WHERE v LIKE '%3';
	UPDATE by_text SET k = upper(k), v = v || '!' WHERE v LIKE '%5'; DELETE FROM by_text WHERE v LIKE '%7';
	DELETE FROM loose WHERE f = 1 AND t IS NULL; UPDATE loose SET f = '-0' WHERE f = 0; INSERT INTO loose TABLE loose;`

// Values of all kinds of types come out as the migrations in place leave them,
// those that were copied and those that changed while the shadow followed.
func TestOddTypesInAnotherDatabase(t *testing.T) {
	t.Parallel()
	ctx := limited(t, 4*time.Minute)
	w := build(t, history{
		structure: oddTypes + oddRows,
		migrations: []string{`ALTER TYPE shop.mood ADD VALUE 'glad' BEFORE 'ok';`, `ALTER TABLE shop.odd ALTER COLUMN num TYPE numeric(7,1), ALTER COLUMN c6 TYPE varchar(7), ALTER COLUMN ts TYPE timestamptz(0);
			ALTER TABLE shop.by_key ADD COLUMN w text; UPDATE shop.by_key SET w = e::text || k; ALTER TABLE shop.loose ADD COLUMN n int DEFAULT 7;`},
		remote: testcontainers.Database(t),
	})
	w.run(ctx, upgrade.Options{Until: control.Following})
	exec(t, w.production, oddChanges)
	exec(t, w.oracleDSN, oddChanges)
	w.run(ctx, upgrade.Options{Cutover: true})
	must(t, upgrade.Finish(ctx, w.file(), cutover.KeepOld, upgrade.Purge, w.log))
	w.upgraded(ctx)
}
