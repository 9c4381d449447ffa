CREATE SCHEMA shop; CREATE EXTENSION citext; CREATE EXTENSION hstore; SET search_path = shop, public;
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
ALTER TABLE shop.by_key ENABLE ROW LEVEL SECURITY; ALTER TABLE shop.by_key FORCE ROW LEVEL SECURITY; CREATE POLICY none ON shop.by_key USING (v IS NULL);
