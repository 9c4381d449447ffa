-- The owners of what is in scratch change places with stand-ins: the role that
-- runs the migrations is a member of these, and of no role that means anything
-- outside of scratch. Only ordinary tables' statements could do it one by one; a
-- superuser may change the catalogs of a database that is thrown away. What an
-- extension brought stays the superuser's, and so does code that the database does
-- not confine: functions in C and in languages that are not trusted. An aggregate's language is
-- "internal", and it is only what its functions are, which run with the rights of who calls it.
CREATE OR REPLACE FUNCTION pgumbra_trace.renamed(acl aclitem[], from_role oid, to_role oid) RETURNS aclitem[]
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	WITH spelled AS (
		SELECT split_part(makeaclitem(from_role, from_role, 'SELECT', false)::text, '=r/', 1) AS a,
			split_part(makeaclitem(to_role, to_role, 'SELECT', false)::text, '=r/', 1) AS b
	), grantee AS (
		SELECT n, a, b, CASE WHEN starts_with(i, a || '=') THEN b || substr(i, length(a) + 1) ELSE i END AS i
		FROM spelled, unnest(acl::text[]) WITH ORDINALITY AS u (i, n)
	)
	SELECT array_agg(CASE WHEN right(i, length(a) + 1) = '/' || a THEN left(i, -length(a)) || b ELSE i END ORDER BY n)::aclitem[] FROM grantee
$$;

-- Where the catalogs hold owners and privileges of what is the database's own: the
-- column, and which rows of it. These functions stay the superuser's: it calls them
-- again.
CREATE OR REPLACE FUNCTION pgumbra_trace.owned(OUT catalog regclass, OUT attribute text, OUT acl boolean, OUT rows text) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	SELECT t.attrelid::regclass, quote_ident(t.attname), t.atttypid = 'aclitem[]'::regtype,
		format('(x.%1$I >= 16384 OR %2$L::regclass = ''pg_namespace''::regclass AND x.%1$I = 2200)
			AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = %2$L::regclass AND d.objid = x.%1$I AND d.deptype = ''e'')',
			CASE WHEN t.attrelid = 'pg_attribute'::regclass THEN 'attrelid' ELSE 'oid' END,
			CASE WHEN t.attrelid = 'pg_attribute'::regclass THEN 'pg_class'::regclass ELSE t.attrelid::regclass END)
		|| CASE t.attrelid WHEN 'pg_namespace'::regclass THEN ' AND x.oid <> ''pgumbra_trace''::regnamespace'
			WHEN 'pg_attribute'::regclass THEN ' AND x.attrelid NOT IN (SELECT oid FROM pg_class WHERE relnamespace = ''pgumbra_trace''::regnamespace)'
			ELSE coalesce((SELECT format(' AND x.%I <> ''pgumbra_trace''::regnamespace', s.attname) FROM pg_attribute s
				WHERE s.attrelid = t.attrelid AND s.attname LIKE '%namespace' AND s.atttypid = 'oid'::regtype), '') END
		|| CASE WHEN t.attrelid <> 'pg_proc'::regclass THEN ''
			ELSE ' AND (x.prokind = ''a'' OR EXISTS (SELECT FROM pg_language l WHERE l.oid = x.prolang AND (l.lanpltrusted OR l.lanname = ''sql'')))' END
	FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
	WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND NOT c.relisshared AND c.oid <> 'pg_init_privs'::regclass
		AND (t.atttypid = 'aclitem[]'::regtype OR t.atttypid = 'oid'::regtype AND (t.attname LIKE '%owner' OR t.attname = 'defaclrole'))
$$;

CREATE OR REPLACE FUNCTION pgumbra_trace.owners() RETURNS SETOF oid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
	o record;
BEGIN
	FOR o IN SELECT * FROM pgumbra_trace.owned() WHERE NOT acl LOOP
		RETURN QUERY EXECUTE format('SELECT DISTINCT x.%s FROM %s AS x WHERE %s', o.attribute, o.catalog, o.rows);
	END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION pgumbra_trace.hand_over(from_role oid, to_role oid) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
	o record;
	spelled text := split_part(makeaclitem(from_role, from_role, 'SELECT', false)::text, '=r/', 1);
BEGIN
	FOR o IN SELECT * FROM pgumbra_trace.owned() LOOP
		IF o.acl THEN
			EXECUTE format('UPDATE %s AS x SET %2$s = pgumbra_trace.renamed(x.%2$s, $1, $2) WHERE %3$s AND EXISTS (
				SELECT FROM unnest(x.%2$s::text[]) i WHERE starts_with(i, $3 || ''='') OR right(i, length($3) + 1) = ''/'' || $3)', o.catalog, o.attribute, o.rows)
				USING from_role, to_role, spelled;
		ELSE
			EXECUTE format('UPDATE %s AS x SET %2$s = $2 WHERE x.%2$s = $1 AND %3$s', o.catalog, o.attribute, o.rows) USING from_role, to_role;
		END IF;
	END LOOP;
	UPDATE pg_policy SET polroles = array_replace(polroles, from_role, to_role) WHERE from_role = ANY (polroles);
	DELETE FROM pg_shdepend WHERE to_role < 16384 AND refclassid = 'pg_authid'::regclass AND refobjid = from_role
		AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database());
	UPDATE pg_shdepend SET refobjid = to_role WHERE refclassid = 'pg_authid'::regclass AND refobjid = from_role
		AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database());
END
$$;

-- Statements of the migrations' own that only a superuser may run, and that run no
-- code of others. Who calls it says which, not what. Event triggers sit out: their
-- functions would have its rights.
CREATE TABLE IF NOT EXISTS pgumbra_trace.lifted (n integer PRIMARY KEY, sql text NOT NULL, sets boolean NOT NULL, guest oid NOT NULL);

CREATE OR REPLACE FUNCTION pgumbra_trace.lift(n integer) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
DECLARE
	what pgumbra_trace.lifted;
	replication text := pg_catalog.current_setting('session_replication_role');
BEGIN
	SELECT l.* INTO STRICT what FROM pgumbra_trace.lifted l WHERE l.n OPERATOR(pg_catalog.=) lift.n;
	IF what.sets THEN
		EXECUTE what.sql;
		RETURN;
	END IF;
	PERFORM pg_catalog.set_config('session_replication_role', 'replica', false);
	EXECUTE what.sql;
	PERFORM pg_catalog.set_config('session_replication_role', replication, false);
	PERFORM pgumbra_trace.hand_over(pg_catalog.to_regrole(pg_catalog.quote_ident(current_user))::oid, what.guest);
END
$$;
REVOKE ALL ON FUNCTION pgumbra_trace.hand_over(oid, oid), pgumbra_trace.lift(integer) FROM PUBLIC;
