CREATE FUNCTION app.f(x text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT x || '/1' $$;
UPDATE app.t SET a = app.f(a);
CREATE OR REPLACE FUNCTION app.f(x text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT x || '/2' $$;
UPDATE app.t SET b = app.f(b);
