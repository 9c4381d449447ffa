CREATE SCHEMA app; CREATE SCHEMA ops;
CREATE TABLE ops.ddl (id bigserial PRIMARY KEY, tag text, object text);
CREATE FUNCTION ops.note() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN
	FOR r IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP INSERT INTO ops.ddl (tag, object) VALUES (r.command_tag, r.object_identity); END LOOP; END $$;
CREATE FUNCTION ops.guard() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
	IF r.command_tag = 'CREATE TABLE' AND r.schema_name NOT IN ('app', 'public') AND r.schema_name NOT LIKE 'pgumbra%' THEN
		RAISE EXCEPTION 'tables are made in app or public only: %', r.object_identity; END IF; END LOOP; END $$;
CREATE TABLE app.t (id int PRIMARY KEY, v text);
CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION ops.note();
CREATE EVENT TRIGGER guard ON ddl_command_end EXECUTE FUNCTION ops.guard();
COMMENT ON EVENT TRIGGER guard IS 'keeps order';
