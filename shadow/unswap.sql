-- Statements that drop the foreign keys, triggers and rules of all tables of some
-- schemas, $1, but for what pgumbra made. What hangs on a partitioned table's goes with it.
SELECT sql FROM (
    SELECT 1 AS step, k.oid, pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT IF EXISTS %I', n.nspname, c.relname, k.conname) AS sql
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1) AND k.contype = 'f' AND k.conparentid = 0
    UNION ALL
    SELECT 2, t.oid, pg_catalog.format('DROP TRIGGER IF EXISTS %I ON %I.%I', t.tgname, n.nspname, c.relname)
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE n.nspname = ANY ($1) AND NOT t.tgisinternal AND t.tgparentid = 0
      AND p.pronamespace <> 'pgumbra'::pg_catalog.regnamespace
    UNION ALL
    SELECT 3, r.oid, pg_catalog.format('DROP RULE IF EXISTS %I ON %I.%I', r.rulename, n.nspname, c.relname)
    FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1) AND r.rulename <> '_RETURN'
) made
ORDER BY step, oid
