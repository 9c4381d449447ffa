ALTER TABLE app.pages ADD COLUMN search tsvector;
CREATE FUNCTION app.searchable() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.search := to_tsvector('english', coalesce(NEW.title, '') || ' ' || coalesce(NEW.body, '')); NEW.changed := OLD.changed + 1; RETURN NEW; END $$;
CREATE TRIGGER searchable BEFORE UPDATE ON app.pages FOR EACH ROW EXECUTE FUNCTION app.searchable();
