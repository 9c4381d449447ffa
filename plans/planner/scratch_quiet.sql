-- Functions of the user's have no body while a superuser restores the structure:
-- PostgreSQL computes constant expressions when it reads the expressions of
-- partition keys, generated columns and indexes, and values of domains when it reads
-- an aggregate, and whoever may create a function would have it run so.
SET session_replication_role = replica;
CREATE SCHEMA pgumbra_quiet;
CREATE TABLE pgumbra_quiet.body (function oid PRIMARY KEY, language oid, source text, tree pg_node_tree);

CREATE FUNCTION pgumbra_quiet.hush() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	INSERT INTO pgumbra_quiet.body SELECT p.oid, p.prolang, p.prosrc, p.prosqlbody
		FROM pg_event_trigger_ddl_commands() c JOIN pg_proc p ON p.oid = c.objid JOIN pg_language l ON l.oid = p.prolang
		WHERE c.classid = 'pg_proc'::regclass AND NOT c.in_extension AND l.lanname NOT IN ('internal', 'c') ON CONFLICT DO NOTHING;
	UPDATE pg_proc p SET prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql'), prosqlbody = NULL,
		prosrc = CASE WHEN p.proretset OR p.prorettype = 'void'::regtype OR p.prokind = 'p' OR p.proargmodes && '{o,b,t}'::"char"[]
			THEN 'BEGIN END' ELSE 'BEGIN RETURN NULL; END' END
		FROM pgumbra_quiet.body b, pg_event_trigger_ddl_commands() c WHERE b.function = p.oid AND c.classid = 'pg_proc'::regclass AND c.objid = p.oid;
END
$$;
CREATE EVENT TRIGGER pgumbra_quiet ON ddl_command_end WHEN TAG IN ('CREATE FUNCTION', 'CREATE PROCEDURE') EXECUTE FUNCTION pgumbra_quiet.hush();
ALTER EVENT TRIGGER pgumbra_quiet ENABLE ALWAYS;
