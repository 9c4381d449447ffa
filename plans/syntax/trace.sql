-- Records what names mean while migrations run in scratch. Functions that
-- resolve names have no search_path of their own: the migration's counts.
CREATE SCHEMA IF NOT EXISTS pgumbra_trace;
GRANT USAGE ON SCHEMA pgumbra_trace TO PUBLIC;

CREATE TABLE IF NOT EXISTS pgumbra_trace.seen (
	seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	fact integer NOT NULL,
	phase text NOT NULL,
	what jsonb NOT NULL
);
GRANT INSERT ON pgumbra_trace.seen TO PUBLIC;

-- An enum's labels at this moment; NULL: it is none.
CREATE OR REPLACE FUNCTION pgumbra_trace.labels_of(id oid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	SELECT jsonb_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = id
$$;

CREATE OR REPLACE FUNCTION pgumbra_trace.type_of(id oid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	SELECT jsonb_build_object('oid', t.oid::bigint, 'name', format_type(t.oid, NULL),
		'elem', CASE WHEN t.typcategory = 'A' THEN t.typelem::bigint ELSE 0 END,
		'user', n.nspname <> 'pg_catalog', 'labels', pgumbra_trace.labels_of(base.oid))
	FROM pg_type t
	JOIN pg_type base ON base.oid = CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE t.oid END
	JOIN pg_namespace n ON n.oid = base.typnamespace
	WHERE t.oid = id
$$;

-- The default that a domain, or one it is made of, gives a column.
CREATE OR REPLACE FUNCTION pgumbra_trace.domain_default(id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	WITH RECURSIVE base AS (
		SELECT t.oid, t.typbasetype, t.typdefaultbin, 0 AS depth FROM pg_type t WHERE t.oid = id AND t.typtype = 'd'
		UNION ALL
		SELECT t.oid, t.typbasetype, t.typdefaultbin, b.depth + 1 FROM base b JOIN pg_type t ON t.oid = b.typbasetype
		WHERE t.typtype = 'd' AND b.typdefaultbin IS NULL
	)
	SELECT pg_get_expr(typdefaultbin, 0) FROM base WHERE typdefaultbin IS NOT NULL ORDER BY depth LIMIT 1
$$;

-- timezone(text, timetz), one of those behind AT TIME ZONE, is only declared
-- VOLATILE before PostgreSQL 15.
CREATE OR REPLACE FUNCTION pgumbra_trace.function_of(id oid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	SELECT jsonb_build_object('oid', p.oid::bigint, 'schema', n.nspname, 'name', p.proname,
		'language', l.lanname, 'kind', p.prokind, 'set', p.proretset,
		'stable', p.provolatile = 's',
		'volatile', p.provolatile = 'v' AND p.oid <> 'pg_catalog.timezone(text, timetz)'::regprocedure,
		'args', p.pronargs, 'defaults', p.pronargdefaults, 'variadic', p.provariadic <> 0,
		'extension', EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'),
		'source', CASE WHEN l.lanname IN ('c', 'internal') THEN '' ELSE p.prosrc END,
		'definition', CASE WHEN l.lanname IN ('c', 'internal') OR p.prokind IN ('a', 'w') THEN '' ELSE pg_get_functiondef(p.oid) END)
	FROM pg_proc p
	JOIN pg_namespace n ON n.oid = p.pronamespace
	JOIN pg_language l ON l.oid = p.prolang
	WHERE p.oid = id
$$;

-- The value that ADD COLUMN gave is written so that any session reads it alike.
CREATE OR REPLACE FUNCTION pgumbra_trace.columns_of(id oid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog SET DateStyle = 'ISO, YMD' SET IntervalStyle = iso_8601 SET TimeZone = 'UTC'
SET extra_float_digits = 3 SET bytea_output = hex AS $$
	SELECT coalesce(jsonb_agg(jsonb_build_object('num', a.attnum, 'name', a.attname,
		'type', jsonb_build_object('oid', t.oid::bigint, 'name', format_type(a.atttypid, a.atttypmod),
			'elem', CASE WHEN t.typcategory = 'A' THEN t.typelem::bigint ELSE 0 END, 'user', n.nspname <> 'pg_catalog',
			'labels', CASE WHEN base.typtype = 'e' THEN pgumbra_trace.labels_of(base.oid) END),
		'default', coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
		'domain_default', coalesce(CASE WHEN t.typtype = 'd' THEN pgumbra_trace.domain_default(t.oid) END, ''),
		'missing', CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END,
		'identity', a.attidentity, 'generated', a.attgenerated) ORDER BY a.attnum), '[]')
	FROM pg_attribute a
	JOIN pg_type t ON t.oid = a.atttypid
	JOIN pg_type base ON base.oid = CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE t.oid END
	JOIN pg_namespace n ON n.oid = base.typnamespace
	LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE a.attrelid = id AND a.attnum > 0 AND NOT a.attisdropped
$$;

CREATE OR REPLACE FUNCTION pgumbra_trace.triggers_of(id oid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	SELECT coalesce(jsonb_agg(jsonb_build_object('name', t.tgname, 'type', t.tgtype, 'enabled', t.tgenabled,
		'columns', t.tgattr::int2[], 'when', t.tgqual IS NOT NULL, 'function', pgumbra_trace.function_of(t.tgfoid)) ORDER BY t.tgname), '[]')
	FROM pg_trigger t WHERE t.tgrelid = id AND NOT t.tgisinternal
$$;

CREATE OR REPLACE FUNCTION pgumbra_trace.references_to(id oid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	SELECT coalesce(jsonb_agg(jsonb_build_object('name', c.conname, 'table', c.conrelid::bigint, 'columns', c.conkey,
		'ref_columns', c.confkey, 'on_delete', c.confdeltype, 'on_update', c.confupdtype,
		'partly', coalesce(to_jsonb(c) -> 'confdelsetcols' <> 'null', false),
		'off', EXISTS (SELECT FROM pg_trigger t WHERE t.tgconstraint = c.oid AND t.tgrelid = c.confrelid AND t.tgenabled NOT IN ('O', 'A'))) ORDER BY c.oid), '[]')
	FROM pg_constraint c WHERE c.contype = 'f' AND c.confrelid = id AND c.conparentid = 0
$$;

CREATE OR REPLACE FUNCTION pgumbra_trace.relation_of(id oid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	SELECT jsonb_build_object('oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
		'partition', c.relispartition, 'empty', c.relkind = 'r' AND pg_relation_size(c.oid) = 0,
		'parents', (SELECT coalesce(jsonb_agg(i.inhparent::bigint), '[]') FROM pg_inherits i WHERE i.inhrelid = id),
		'rules', EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = id AND r.rulename <> '_RETURN'),
		'columns', pgumbra_trace.columns_of(id), 'triggers', pgumbra_trace.triggers_of(id),
		'references', pgumbra_trace.references_to(id))
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = id
$$;

-- Tables and all that inherit from them, as a statement without ONLY sees them.
CREATE OR REPLACE FUNCTION pgumbra_trace.relations_of(ids oid[]) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	WITH RECURSIVE tree AS (
		SELECT unnest(ids) AS id
		UNION
		SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.id
	)
	SELECT coalesce(jsonb_agg(pgumbra_trace.relation_of(id)), '[]') FROM tree
$$;

-- Tables whose rows a DELETE takes along or changes, by foreign keys from table to table.
CREATE OR REPLACE FUNCTION pgumbra_trace.referring(ids oid[]) RETURNS oid[]
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	WITH RECURSIVE tree AS (
		SELECT unnest(ids) AS id
		UNION
		SELECT c.conrelid FROM tree JOIN pg_constraint c ON c.contype = 'f' AND c.confrelid = tree.id AND c.confdeltype NOT IN ('a', 'r')
	)
	SELECT coalesce(array_agg(id), ids) FROM tree
$$;

-- Tables that this transaction locked as a writer does.
CREATE OR REPLACE FUNCTION pgumbra_trace.written() RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
	SELECT coalesce(jsonb_agg(DISTINCT l.relation::bigint), '[]')
	FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
	WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock'
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND c.relkind IN ('r', 'p') AND c.oid >= 16384 AND c.relnamespace <> 'pgumbra_trace'::regnamespace
$$;

-- The settings that decide what texts and values of a type mean to each other.
CREATE OR REPLACE FUNCTION pgumbra_trace.settings() RETURNS jsonb
LANGUAGE sql VOLATILE AS $$
	SELECT coalesce(pg_catalog.jsonb_object_agg(name, pg_catalog.current_setting(name, true)), '{}')
	FROM pg_catalog.unnest({settings}) AS s (name)
$$;

-- Relations that this transaction locked as a reader does, dropped ones too.
CREATE OR REPLACE FUNCTION pgumbra_trace.read() RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
	SELECT coalesce(jsonb_agg(DISTINCT l.relation::bigint), '[]')
	FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation
	WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode IN ('AccessShareLock', 'RowShareLock')
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.relation >= 16384
		AND (c.oid IS NULL OR c.relkind IN ('r', 'p', 'm', 'f', 'v', 'S') AND c.relnamespace <> 'pgumbra_trace'::regnamespace)
$$;

-- All of the user's own, for the start and the end.
CREATE OR REPLACE FUNCTION pgumbra_trace.everything() RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
	WITH own AS (
		SELECT n.oid FROM pg_namespace n
		WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'pgumbra_trace')
	)
	SELECT jsonb_build_object(
		'relations', (SELECT coalesce(jsonb_agg(pgumbra_trace.relation_of(c.oid)), '[]') FROM pg_class c
			WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relnamespace IN (SELECT oid FROM own)),
		'all_functions', (SELECT coalesce(jsonb_agg(pgumbra_trace.function_of(p.oid)), '[]') FROM pg_proc p
			WHERE p.pronamespace IN (SELECT oid FROM own) AND p.prokind NOT IN ('a', 'w')),
		'all_types', (SELECT coalesce(jsonb_agg(pgumbra_trace.type_of(t.oid)), '[]') FROM pg_type t
			LEFT JOIN pg_class c ON c.oid = t.typrelid
			WHERE t.typnamespace IN (SELECT oid FROM own) AND (t.typtype IN ('e', 'd', 'r', 'm') OR c.relkind = 'c'
				OR t.typtype = 'b' AND t.typelem = 0)))
$$;

-- A name in a schema that the role of the moment may not use is no name, not an
-- error: the statement may never come to it.
CREATE OR REPLACE FUNCTION pgumbra_trace.lookup(name text) RETURNS oid
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN pg_catalog.to_regclass(name);
EXCEPTION WHEN insufficient_privilege THEN
	RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION pgumbra_trace.mark(fact integer, phase text, tables text[], functions text[], types text[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	name text;
	path text[];
	id oid;
	ids oid[] := '{}';
	seen_tables jsonb := '{}';
	seen_functions jsonb := '{}';
	seen_types jsonb := '{}';
BEGIN
	FOREACH name IN ARRAY tables LOOP
		id := pgumbra_trace.lookup(name);
		CONTINUE WHEN id IS NULL;
		ids := ids || id;
		seen_tables := seen_tables || pg_catalog.jsonb_build_object(name, id::bigint);
	END LOOP;
	FOREACH name IN ARRAY types LOOP
		id := pg_catalog.to_regtype(name);
		CONTINUE WHEN id IS NULL;
		seen_types := seen_types || pg_catalog.jsonb_build_object(name, pgumbra_trace.type_of(id));
	END LOOP;
	FOREACH name IN ARRAY functions LOOP
		path := pg_catalog.parse_ident(name);
		seen_functions := seen_functions || pg_catalog.jsonb_build_object(name, (
			SELECT coalesce(pg_catalog.jsonb_agg(pgumbra_trace.function_of(p.oid)), '[]')
			FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
			WHERE p.proname = path[pg_catalog.cardinality(path)]
				AND CASE WHEN pg_catalog.cardinality(path) > 1 THEN n.nspname = path[1] ELSE pg_catalog.pg_function_is_visible(p.oid) END));
	END LOOP;
	IF phase = 'after+' THEN -- code: what it altered shows by its locks, whatever names it put together
		ids := ids || coalesce((SELECT pg_catalog.array_agg(DISTINCT l.relation)
			FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation
			WHERE l.pid = pg_catalog.pg_backend_pid() AND l.mode = 'AccessExclusiveLock' AND c.relkind IN ('r', 'p')
				AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())), '{}');
	END IF;
	IF phase LIKE '%*' THEN -- DELETE
		ids := pgumbra_trace.referring(ids);
	END IF;
	INSERT INTO pgumbra_trace.seen (fact, phase, what) VALUES (fact, pg_catalog.rtrim(phase, '+*'), pg_catalog.jsonb_build_object(
		'tables', seen_tables, 'types', seen_types, 'functions', seen_functions,
		'relations', pgumbra_trace.relations_of(ids), 'written', pgumbra_trace.written(), 'read', pgumbra_trace.read(), 'settings', pgumbra_trace.settings(),
		'replica', pg_catalog.current_setting('session_replication_role') = 'replica'));
END
$$;

-- Default privileges may have taken it away.
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgumbra_trace TO PUBLIC;

INSERT INTO pgumbra_trace.seen (fact, phase, what)
SELECT 0, 'start', pgumbra_trace.everything()
WHERE NOT EXISTS (SELECT FROM pgumbra_trace.seen WHERE phase = 'start');
