-- Objects outside some schemas (and outside the control schema) that depend on
-- objects inside: DROP ... CASCADE would take them, or a column of theirs, along.
WITH inside AS (
    SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1)
), referenced AS (
    SELECT 'pg_catalog.pg_class'::regclass AS class, oid FROM pg_catalog.pg_class WHERE relnamespace IN (SELECT oid FROM inside)
  UNION ALL SELECT 'pg_catalog.pg_type'::regclass, oid FROM pg_catalog.pg_type WHERE typnamespace IN (SELECT oid FROM inside)
  UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, oid FROM pg_catalog.pg_proc WHERE pronamespace IN (SELECT oid FROM inside)
  UNION ALL SELECT 'pg_catalog.pg_operator'::regclass, oid FROM pg_catalog.pg_operator WHERE oprnamespace IN (SELECT oid FROM inside)
  UNION ALL SELECT 'pg_catalog.pg_opclass'::regclass, oid FROM pg_catalog.pg_opclass WHERE opcnamespace IN (SELECT oid FROM inside)
  UNION ALL SELECT 'pg_catalog.pg_collation'::regclass, oid FROM pg_catalog.pg_collation WHERE collnamespace IN (SELECT oid FROM inside)
), dependent AS (
    SELECT DISTINCT d.classid, d.objid, d.objsubid, coalesce(
        (SELECT relnamespace FROM pg_catalog.pg_class WHERE d.classid = 'pg_catalog.pg_class'::regclass AND oid = d.objid),
        (SELECT typnamespace FROM pg_catalog.pg_type WHERE d.classid = 'pg_catalog.pg_type'::regclass AND oid = d.objid),
        (SELECT pronamespace FROM pg_catalog.pg_proc WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND oid = d.objid),
        (SELECT connamespace FROM pg_catalog.pg_constraint WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND oid = d.objid),
        (SELECT c.relnamespace FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
         WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid),
        (SELECT c.relnamespace FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_class c ON c.oid = a.adrelid
         WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass AND a.oid = d.objid),
        (SELECT c.relnamespace FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
         WHERE d.classid = 'pg_catalog.pg_trigger'::regclass AND t.oid = d.objid),
        (SELECT c.relnamespace FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
         WHERE d.classid = 'pg_catalog.pg_policy'::regclass AND p.oid = d.objid),
        (SELECT oprnamespace FROM pg_catalog.pg_operator WHERE d.classid = 'pg_catalog.pg_operator'::regclass AND oid = d.objid)) AS namespace
    FROM pg_catalog.pg_depend d JOIN referenced r ON d.refclassid = r.class AND d.refobjid = r.oid
    WHERE d.deptype IN ('n', 'a')
)
SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
FROM dependent d JOIN pg_catalog.pg_namespace n ON n.oid = d.namespace
WHERE n.oid NOT IN (SELECT oid FROM inside) AND n.nspname NOT IN ('pgumbra', 'pg_toast')
  -- a temporary table of ours, in a session that ends or that a crash of the server left behind
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_class t WHERE d.classid = 'pg_catalog.pg_class'::regclass AND t.oid = d.objid
                  AND t.relpersistence = 't' AND t.relname LIKE 'pgumbra\_%')
ORDER BY 1
LIMIT 10
