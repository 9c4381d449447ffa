CREATE SCHEMA app;
CREATE TABLE app.pages (id int PRIMARY KEY, title text, body text, changed int NOT NULL DEFAULT 0);
CREATE TABLE app.log (page int, what text);
CREATE FUNCTION app.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.log (page, what) VALUES (NEW.id, NEW.title); RETURN NULL; END $$;
CREATE TRIGGER note AFTER UPDATE OF title ON app.pages FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title) EXECUTE FUNCTION app.note();
