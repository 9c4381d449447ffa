CREATE SCHEMA vals;
CREATE TYPE vals.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE vals.status AS ENUM ('new', 'paid', 'gone');
CREATE TYPE vals.address AS (street text, zip varchar(5));
CREATE TYPE vals.parcel AS (w int, h int);
CREATE TYPE vals.level AS ENUM ('a', 'b');
CREATE TYPE vals.person AS (name text, home vals.address, levels vals.level[]);
CREATE DOMAIN vals.positive AS int CHECK (VALUE > 0);
CREATE DOMAIN vals.email AS text NOT NULL DEFAULT 'nobody@x' CONSTRAINT has_at CHECK (VALUE LIKE '%@%');
CREATE TYPE vals.price AS RANGE (subtype = numeric);
CREATE SEQUENCE vals.numbers START 1000 INCREMENT 7 CACHE 20;
CREATE SEQUENCE vals.countdown INCREMENT -2 MINVALUE -1000000 MAXVALUE 50 START 50 CYCLE;
CREATE SEQUENCE vals.small AS smallint;
CREATE SEQUENCE vals.unused START 77;
CREATE FUNCTION vals.next_code() RETURNS text LANGUAGE sql AS $$ SELECT 'C' || nextval('vals.numbers') $$;
CREATE FUNCTION vals.double(int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT $1 * 2 $$;

CREATE TABLE vals.all_kinds (
	id int PRIMARY KEY,
	b boolean, i2 smallint, i8 bigint, f4 real, f8 double precision, n numeric, n2 numeric(12, 4), m money,
	t text, vc varchar(20), c char(6), nm name, by bytea, u uuid,
	d date, ts timestamp, tz timestamptz, tm time, ttz timetz, iv interval,
	mood vals.mood, moods vals.mood[], addr vals.address, who vals.person, people vals.person[],
	pos vals.positive, positives vals.positive[], mail vals.email,
	r4 int4range, rn numrange, rt tstzrange, mr int4multirange, pr vals.price,
	ia int[], ta text[][], j json, jb jsonb, x xml,
	ip inet, net cidr, mac macaddr, bits bit(5), vbits bit varying,
	p point, bx box, pa path, po polygon, ci circle,
	tsv tsvector, tsq tsquery, cls regclass, ty regtype, o oid, lsn pg_lsn);
CREATE TABLE vals.parcels (id int PRIMARY KEY, size vals.parcel, moods vals.mood[][]);
CREATE TABLE vals.large (id int PRIMARY KEY, body text, raw bytea, doc jsonb, outside text);
ALTER TABLE vals.large ALTER COLUMN outside SET STORAGE EXTERNAL, ALTER COLUMN body SET STATISTICS 500, ALTER COLUMN doc SET COMPRESSION pglz;
CREATE TABLE vals.made (
	id int PRIMARY KEY, w int NOT NULL, h int NOT NULL, name text,
	area int GENERATED ALWAYS AS (w * h) STORED,
	twice int GENERATED ALWAYS AS (vals.double(w)) STORED,
	initial text GENERATED ALWAYS AS (upper(left(name, 1))) STORED);
CREATE TABLE vals.defaults (
	id bigint PRIMARY KEY DEFAULT nextval('vals.numbers'),
	code text DEFAULT vals.next_code(), at timestamptz NOT NULL DEFAULT now(), who text DEFAULT current_user,
	u uuid DEFAULT gen_random_uuid(), mood vals.mood DEFAULT 'ok', pos vals.positive DEFAULT vals.double(3), arr int[] DEFAULT '{1,2}');
CREATE TABLE vals.identities (a int GENERATED ALWAYS AS IDENTITY (INCREMENT 3 CACHE 10), b text PRIMARY KEY);
CREATE TABLE vals.serials (s2 smallserial, s4 serial, s8 bigserial PRIMARY KEY, t text);
CREATE TABLE vals.statuses (id int PRIMARY KEY, status vals.status NOT NULL DEFAULT 'new', old_status vals.status, many vals.status[]);
CREATE TABLE vals.dropped (id int PRIMARY KEY, a int, gone text, b text);
ALTER TABLE vals.dropped DROP COLUMN gone;
ALTER TABLE vals.dropped ADD COLUMN fast text NOT NULL DEFAULT 'fast';
ALTER TABLE vals.dropped ALTER COLUMN fast SET DEFAULT 'other';
ALTER SEQUENCE vals.unused OWNED BY vals.dropped.a;
