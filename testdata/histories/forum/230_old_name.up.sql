ALTER TABLE forum.users RENAME TO members;
CREATE VIEW forum.users AS SELECT id, name AS login, karma, about, deleted, created FROM forum.members;
CREATE FUNCTION forum.write_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE forum.members SET name = NEW.login, name_lower = lower(NEW.login), about = NEW.about WHERE id = OLD.id;
    RETURN NEW;
END
$$;
CREATE TRIGGER write_users INSTEAD OF UPDATE ON forum.users FOR EACH ROW EXECUTE FUNCTION forum.write_users();
