CREATE FUNCTION forum.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated = now(); RETURN NEW; END $$;
ALTER TABLE forum.users ADD COLUMN updated timestamptz;
CREATE TRIGGER touch BEFORE UPDATE ON forum.users FOR EACH ROW EXECUTE FUNCTION forum.touch();
