-- Functions that sessions of the run's role would call, where it is a superuser,
-- although neither that role nor one that it has to trust owns them: the function,
-- what evaluates it, its owner.
WITH RECURSIVE {{scope}}, moving AS (
	SELECT oid, nspowner FROM pg_namespace WHERE oid IN (SELECT oid FROM schema)
), near AS (
	SELECT n.oid FROM pg_namespace n, asked WHERE n.nspname = ANY (asked.schemas || asked.near)
), trusted AS (
	SELECT r.oid FROM pg_roles r, asked WHERE rolname = ANY (asked.trusted) OR pg_has_role(r.oid, current_user, 'MEMBER')
	UNION SELECT nspowner FROM moving
	UNION SELECT datdba FROM pg_database WHERE datname = current_database()
), stranger AS (
	SELECT p.oid, p.proname, p.pronamespace, p.proowner, p.prokind FROM pg_proc p
	WHERE p.oid >= 16384 AND p.proowner NOT IN (SELECT oid FROM trusted) AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
), tables AS (
	SELECT c.oid, c.relkind, c.relname = asked.version AS version FROM pg_class c, asked WHERE c.relkind IN ('r', 'p', 'f', 'v')
		AND (c.relkind <> 'v' AND c.relnamespace IN (SELECT oid FROM moving) OR c.relname = asked.version AND c.relnamespace IN (SELECT oid FROM near))
), types AS (
	SELECT a.atttypid AS oid FROM pg_attribute a JOIN tables t ON t.oid = a.attrelid WHERE a.atttypid >= 16384
	UNION
	SELECT part.oid FROM types JOIN pg_type t ON t.oid = types.oid CROSS JOIN LATERAL (
		SELECT t.typelem AS oid UNION ALL SELECT t.typbasetype
		UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0
		UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid) part
	WHERE part.oid >= 16384
), evaluated (class, object) AS (
	SELECT 'pg_constraint'::regclass::oid, oid FROM pg_constraint WHERE conrelid IN (SELECT oid FROM tables) OR contypid IN (SELECT oid FROM types)
	UNION ALL SELECT 'pg_attrdef'::regclass, oid FROM pg_attrdef WHERE adrelid IN (SELECT oid FROM tables)
	UNION ALL SELECT 'pg_class'::regclass, indexrelid FROM pg_index WHERE indrelid IN (SELECT oid FROM tables)
	UNION ALL SELECT 'pg_class'::regclass, oid FROM tables WHERE relkind = 'p'
	UNION ALL SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext WHERE stxrelid IN (SELECT oid FROM tables)
	-- Replay writes with session_replication_role = replica.
	UNION ALL SELECT 'pg_trigger'::regclass, g.oid FROM pg_trigger g JOIN tables t ON t.oid = g.tgrelid
		WHERE NOT g.tgisinternal AND (g.tgenabled IN ('A', 'R') OR t.version AND g.tgenabled = 'O')
	UNION ALL SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r JOIN tables t ON t.oid = r.ev_class
		WHERE r.ev_enabled IN ('A', 'R') OR t.version AND r.ev_enabled = 'O'
), called (what, function) AS (
	SELECT pg_describe_object(e.class, e.object, 0), coalesce(o.oprcode::oid, d.refobjid)
	FROM evaluated e JOIN pg_depend d ON d.classid = e.class AND d.objid = e.object
	LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
	WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
	UNION ALL SELECT pg_describe_object('pg_cast'::regclass, oid, 0), castfunc FROM pg_cast
		WHERE castsource IN (SELECT oid FROM types) OR casttarget IN (SELECT oid FROM types)
	-- A call takes the function whose argument types fit best, wherever it stands.
	UNION ALL SELECT format('calls of %I', s.proname), s.oid FROM stranger s WHERE s.pronamespace IN (SELECT oid FROM near) AND s.prokind <> 'p'
		AND EXISTS (SELECT FROM pg_proc p WHERE p.proname = s.proname AND p.proowner IN (SELECT oid FROM trusted)
			AND (p.pronamespace = 'pg_catalog'::regnamespace OR p.pronamespace IN (SELECT oid FROM near)))
	UNION ALL SELECT format('operator %s', o.oprname), o.oprcode FROM pg_operator o WHERE o.oprnamespace IN (SELECT oid FROM near)
		AND EXISTS (SELECT FROM pg_operator p WHERE p.oprname = o.oprname AND p.oprowner IN (SELECT oid FROM trusted)
			AND (p.oprnamespace = 'pg_catalog'::regnamespace OR p.oprnamespace IN (SELECT oid FROM near)))
)
SELECT s.oid::regprocedure::text, string_agg(DISTINCT c.what, ', ' ORDER BY c.what), pg_get_userbyid(s.proowner)::text
FROM called c JOIN stranger s ON s.oid = c.function
GROUP BY 1, 3 ORDER BY 1
LIMIT 50
