CREATE SCHEMA app;
CREATE TYPE app."größe" AS ENUM ('klein', 'groß');
CREATE TABLE app."straßen" (id serial PRIMARY KEY, "länge" int, "größe" app."größe" DEFAULT 'groß', t text DEFAULT 'ß');
COMMENT ON TABLE app."straßen" IS 'Straßen, über die man fährt';
COMMENT ON COLUMN app."straßen"."länge" IS 'Länge';
CREATE INDEX "straßen_länge" ON app."straßen" ("länge");
CREATE FUNCTION app."füge"(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1 || 'ü' $$;
CREATE VIEW app."übersicht" AS SELECT "länge", app."füge"(t) AS "größer" FROM app."straßen" WHERE t <> 'ä';
CREATE TABLE app."ohne Schlüssel" ("wört" text);
