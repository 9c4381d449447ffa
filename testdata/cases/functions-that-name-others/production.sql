CREATE SCHEMA app;
SET search_path = public, app;
CREATE FUNCTION app.sep() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '-' $$;
CREATE FUNCTION app.norm(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(replace(t, ' ', sep())) $$;
CREATE FUNCTION app.loud(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN norm(t) || '!'; END $$;
CREATE DOMAIN app.word AS text CHECK (app.norm(value) <> 'bad');
CREATE TABLE app.page (id int PRIMARY KEY, name text NOT NULL, slug text GENERATED ALWAYS AS (app.norm(name)) STORED, kind app.word DEFAULT 'x',
	CONSTRAINT loud CHECK (app.loud(name) <> 'no!'));
CREATE INDEX ON app.page (app.norm(name));
CREATE UNIQUE INDEX ON app.page (app.loud(name), id);
CREATE STATISTICS app.of_page ON app.norm(name), kind FROM app.page;
CREATE TABLE app.alone (id int PRIMARY KEY, name text, EXCLUDE USING btree (app.norm(name) WITH =));
CREATE TABLE app.part (id int NOT NULL, name text NOT NULL) PARTITION BY LIST (app.norm(name));
CREATE TABLE app.part_a PARTITION OF app.part FOR VALUES IN ('a-a', 'b-b');
CREATE TABLE app.part_d PARTITION OF app.part DEFAULT;
CREATE MATERIALIZED VIEW app.counted AS SELECT app.norm(name) AS slug, count(*) FROM app.page GROUP BY 1;
CREATE UNIQUE INDEX ON app.counted (slug);
