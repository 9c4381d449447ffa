ALTER TABLE app.t ALTER COLUMN e TYPE text USING app.code(e);
CREATE OR REPLACE FUNCTION app.code(x int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 'm' || x; END $$;
ALTER TABLE app.t ADD COLUMN g text;
UPDATE app.t SET g = app.code(id);
DROP FUNCTION app.f(text);
