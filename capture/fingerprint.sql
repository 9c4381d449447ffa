-- What a captured table is: its structure, the state of the user's triggers on
-- it, our triggers, and its files. Sorted lines of text, so that a difference
-- can be shown. search_path is fixed: deparsed expressions depend on it.
CREATE OR REPLACE FUNCTION {function}(root pg_catalog.oid) RETURNS pg_catalog.jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $fingerprint$
WITH member AS (
    SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
           COALESCE(pg_get_expr(c.relpartbound, c.oid), '') AS bound
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = root OR c.oid IN (SELECT relid FROM pg_partition_tree(root))
), ours AS (
    SELECT t.oid, m.name, t.tgname, t.tgenabled, t.xmin::text AS xmin, p.prosrc LIKE '%capture was broken off%' AS broken
    FROM member m JOIN pg_trigger t ON t.tgrelid = m.oid LEFT JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND starts_with(t.tgname::text, {prefix})
), theirs AS (
    SELECT m.name, t.oid, t.tgname, t.tgenabled
    FROM member m JOIN pg_trigger t ON t.tgrelid = m.oid
    WHERE NOT t.tgisinternal AND NOT starts_with(t.tgname::text, '!pgumbra_')
), structure(line) AS (
    SELECT format('table %s kind %s persistence %s row security %s %s %s', name, relkind, relpersistence,
                  relrowsecurity, relforcerowsecurity, bound) FROM member
  UNION ALL
    SELECT format('column %s.%s %s%s not null %s identity %s generated %s default %s', m.name, a.attname,
                  format_type(a.atttypid, a.atttypmod), ' ' || NULLIF(a.attcollation, t.typcollation)::regcollation,
                  a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid))
    FROM member m JOIN pg_attribute a ON a.attrelid = m.oid JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
    SELECT format('constraint %s on %s %s', c.conname, m.name, pg_get_constraintdef(c.oid))
    FROM member m JOIN pg_constraint c ON c.conrelid = m.oid
    WHERE c.contype NOT IN ('t', 'n')
  UNION ALL
    SELECT pg_get_indexdef(i.indexrelid)
    FROM member m JOIN pg_index i ON i.indrelid = m.oid WHERE i.indisvalid
  UNION ALL
    SELECT pg_get_triggerdef(oid) FROM theirs
  UNION ALL
    SELECT pg_get_ruledef(r.oid) FROM member m JOIN pg_rewrite r ON r.ev_class = m.oid
  UNION ALL
    SELECT format('policy %s on %s for %s permissive %s to %s using %s check %s', p.polname, m.name, p.polcmd, p.polpermissive,
                  ARRAY(SELECT o::regrole::text FROM unnest(p.polroles) o WHERE o <> 0 ORDER BY 1),
                  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    FROM member m JOIN pg_policy p ON p.polrelid = m.oid
  UNION ALL
    SELECT format('%s inherits %s', i.inhrelid::regclass, i.inhparent::regclass)
    FROM pg_inherits i WHERE i.inhrelid IN (SELECT oid FROM member) OR i.inhparent IN (SELECT oid FROM member)
)
SELECT jsonb_build_object(
    'root', root::bigint,
    'members', ARRAY(SELECT oid::bigint FROM member ORDER BY oid),
    'structure', ARRAY(SELECT line FROM structure ORDER BY line COLLATE "C"),
    'states', ARRAY(SELECT format('trigger %s on %s enabled %s', tgname, name, tgenabled) COLLATE "C" FROM theirs ORDER BY 1),
    'triggers', ARRAY(SELECT format('trigger %s on %s enabled %s oid %s xmin %s%s', tgname, name, tgenabled, oid, xmin,
                                    CASE WHEN broken IS NOT FALSE THEN ' broken off' END) COLLATE "C" FROM ours ORDER BY 1),
    'filenodes', ARRAY(SELECT format('%s filenode %s', name, pg_relation_filenode(oid)) COLLATE "C" FROM member ORDER BY 1))
$fingerprint$;
REVOKE ALL ON FUNCTION {function}(pg_catalog.oid) FROM PUBLIC;
