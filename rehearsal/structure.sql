-- A database's structure by its catalogs, for a server that no installed pg_dump reads: an object's kind and name,
-- and a text that is equal where the object is. $1: schemas that are left out.
WITH spaces AS (
	SELECT oid, nspname AS name, nspowner, nspacl FROM pg_namespace
	WHERE nspname !~ '^pg_|^pgumbra|^information_schema$' AND nspname <> ALL (coalesce($1::text[], '{}'))
), owned AS ( -- what an extension brings along is the extension's
	SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), relations AS (
	SELECT c.*, s.name || '.' || c.relname AS name FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
	WHERE (1259, c.oid) NOT IN (SELECT classid, objid FROM owned)
), objects (kind, name, definition) AS (
	SELECT 'SCHEMA', name, concat_ws(E'\n', 'owner ' || nspowner::regrole, 'rights ' || nspacl::text, obj_description(oid, 'pg_namespace')) FROM spaces
	UNION ALL
	SELECT CASE r.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, r.name,
		concat_ws(E'\n', concat(r.relkind, r.relpersistence, r.relreplident), 'owner ' || r.relowner::regrole,
			'rights ' || (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(r.relacl) a)::text,
			'options ' || array_to_string(r.reloptions, ','), concat('row security ', r.relrowsecurity, r.relforcerowsecurity),
			'inherits ' || (SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = r.oid),
			pg_get_partkeydef(r.oid), pg_get_expr(r.relpartbound, r.oid), obj_description(r.oid, 'pg_class'),
			CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END,
			(SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), nullif(a.attcollation, t.typcollation)::regcollation,
				CASE WHEN a.attnotnull THEN 'NOT NULL' END, nullif(a.attidentity::text, '') || ' identity', nullif(a.attgenerated::text, '') || ' generated',
				'default ' || pg_get_expr(d.adbin, d.adrelid), 'rights ' || a.attacl::text, col_description(r.oid, a.attnum)), E'\n' ORDER BY a.attnum)
				FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
				WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped))
	FROM relations r WHERE r.relkind IN ('r', 'p', 'v', 'm', 'c', 'f')
	UNION ALL
	SELECT 'SEQUENCE', r.name, concat_ws(E'\n', format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle,
		'owner ' || r.relowner::regrole, 'rights ' || r.relacl::text) FROM relations r JOIN pg_sequence q ON q.seqrelid = r.oid
	UNION ALL
	SELECT 'INDEX', r.name, concat_ws(E'\n', pg_get_indexdef(r.oid), 'valid ' || i.indisvalid, 'cluster ' || i.indisclustered, 'identity ' || i.indisreplident)
	FROM relations r JOIN pg_index i ON i.indexrelid = r.oid
	UNION ALL
	SELECT 'CONSTRAINT', r.name || ' ' || k.conname, concat_ws(E'\n', pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint'))
	FROM pg_constraint k JOIN relations r ON r.oid = k.conrelid WHERE k.contype <> 'n' -- NOT NULL: the columns' own
	UNION ALL
	SELECT 'TRIGGER', r.name || ' ' || g.tgname, concat_ws(E'\n', pg_get_triggerdef(g.oid), g.tgenabled)
	FROM pg_trigger g JOIN relations r ON r.oid = g.tgrelid WHERE NOT g.tgisinternal
	UNION ALL
	SELECT 'POLICY', r.name || ' ' || p.polname, concat_ws(E'\n', p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
	FROM pg_policy p JOIN relations r ON r.oid = p.polrelid
	UNION ALL
	SELECT 'RULE', r.name || ' ' || w.rulename, pg_get_ruledef(w.oid) FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'
	UNION ALL
	SELECT 'STATISTICS', s.name || '.' || x.stxname, pg_get_statisticsobjdef(x.oid) FROM pg_statistic_ext x JOIN spaces s ON s.oid = x.stxnamespace
	UNION ALL
	SELECT 'FUNCTION', s.name || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', concat_ws(E'\n',
		CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE 'aggregate' END, 'owner ' || p.proowner::regrole, 'rights ' || p.proacl::text, obj_description(p.oid, 'pg_proc'))
	FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace WHERE (1255, p.oid) NOT IN (SELECT classid, objid FROM owned)
	UNION ALL
	SELECT 'TYPE', s.name || '.' || t.typname, concat_ws(E'\n', t.typtype, 'owner ' || t.typowner::regrole, 'rights ' || t.typacl::text, obj_description(t.oid, 'pg_type'),
		(SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
		CASE WHEN t.typtype = 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault,
			(SELECT string_agg(k.conname || ' ' || pg_get_constraintdef(k.oid), E'\n' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid)) END,
		(SELECT format_type(g.rngsubtype, NULL) FROM pg_range g WHERE g.rngtypid = t.oid))
	FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
	WHERE t.typtype IN ('e', 'd', 'r') AND (1247, t.oid) NOT IN (SELECT classid, objid FROM owned)
	UNION ALL
	SELECT 'EXTENSION', e.extname, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE n.nspname !~ '^pg_'
	UNION ALL
	SELECT 'DEFAULT RIGHTS', concat_ws(' ', d.defaclrole::regrole, d.defaclnamespace::regnamespace, d.defaclobjtype), d.defaclacl::text
	FROM pg_default_acl d WHERE d.defaclnamespace = 0 OR d.defaclnamespace IN (SELECT oid FROM spaces)
)
SELECT kind || ' ' || name, coalesce(definition, '') FROM objects
