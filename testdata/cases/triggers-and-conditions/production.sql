CREATE SCHEMA app;
CREATE FUNCTION app.micros() RETURNS bigint LANGUAGE sql AS 'SELECT (extract(epoch FROM now()) * 1000000)::bigint';
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changed = app.micros(); NEW.slug := lower(NEW.title) || '-' || NEW.id; RETURN NEW; END $$;
CREATE TABLE app.notes (id int PRIMARY KEY, title text NOT NULL, slug text, body text, changed bigint NOT NULL DEFAULT 0);
CREATE TRIGGER touch BEFORE UPDATE OF title ON app.notes FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TABLE app.tags (id int PRIMARY KEY, note int, name text);
CREATE TABLE app.names (name text PRIMARY KEY, language text);
