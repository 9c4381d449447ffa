DROP VIEW app."übersicht";
ALTER TABLE app."straßen" ALTER COLUMN "länge" TYPE bigint;
ALTER TABLE app."straßen" ADD COLUMN "maß" text NOT NULL DEFAULT 'µ';
UPDATE app."straßen" SET "maß" = t || 'ñ' WHERE "länge" > 100;
ALTER TYPE app."größe" RENAME VALUE 'groß' TO 'größer';
ALTER TABLE app."ohne Schlüssel" ADD COLUMN "zähler" int;
CREATE VIEW app."übersicht" AS SELECT "länge", app."füge"(t) AS "größer" FROM app."straßen" WHERE t <> 'ö';
