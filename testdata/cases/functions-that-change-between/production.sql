CREATE SCHEMA app;
CREATE SCHEMA other;
CREATE TABLE app.t (id int PRIMARY KEY, a text, b text, c text, d text, e int);
CREATE FUNCTION app.norm(x text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'app:' || lower(x) $$;
CREATE FUNCTION other.norm(x text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'other:' || upper(x) $$;
CREATE FUNCTION app.code(x int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 'n' || x; END $$;
