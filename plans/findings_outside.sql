WITH RECURSIVE schema AS (
    SELECT oid FROM pg_namespace WHERE nspname = ANY ($1::text[])
), inside (class, oid) AS (
    SELECT 'pg_class'::regclass::oid, oid FROM pg_class WHERE relnamespace IN (SELECT oid FROM schema)
    UNION ALL
    SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typnamespace IN (SELECT oid FROM schema)
    UNION ALL
    SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace IN (SELECT oid FROM schema)
    UNION ALL
    SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprnamespace IN (SELECT oid FROM schema)
    UNION ALL
    SELECT 'pg_opclass'::regclass, oid FROM pg_opclass WHERE opcnamespace IN (SELECT oid FROM schema)
    UNION ALL
    SELECT 'pg_opfamily'::regclass, oid FROM pg_opfamily WHERE opfnamespace IN (SELECT oid FROM schema)
    UNION ALL
    SELECT 'pg_collation'::regclass, oid FROM pg_collation WHERE collnamespace IN (SELECT oid FROM schema)
    UNION ALL
    SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config WHERE cfgnamespace IN (SELECT oid FROM schema)
    UNION ALL
    SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict WHERE dictnamespace IN (SELECT oid FROM schema)
    UNION ALL
    SELECT 'pg_namespace'::regclass, oid FROM schema
), moving AS (
    SELECT i.class, i.oid FROM inside i
    WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = i.class AND e.objid = i.oid AND e.deptype = 'e')
      -- shared objects keep their oid and their name
      AND (i.class, i.oid) NOT IN (SELECT * FROM unnest($2::oid[], $3::oid[]))
      AND (i.class <> 'pg_type'::regclass OR NOT EXISTS (
          SELECT FROM pg_type t WHERE t.oid = i.oid AND (t.typelem <> 0 AND t.typcategory = 'A')
             AND t.typelem IN (SELECT u.oid FROM unnest($3::oid[]) u(oid))))
), dependent AS (
    SELECT DISTINCT d.classid, d.objid, d.refclassid, d.refobjid
    FROM pg_depend d JOIN moving m ON m.class = d.refclassid AND m.oid = d.refobjid
    WHERE d.deptype IN ('n', 'a') AND (d.refclassid <> 'pg_namespace'::regclass
          OR d.classid = to_regclass('pg_catalog.pg_publication_namespace')::oid)
)
SELECT pg_describe_object(d.classid, d.objid, 0), pg_describe_object(d.refclassid, d.refobjid, 0)
FROM dependent d
CROSS JOIN LATERAL (SELECT {{home}} AS oid) home
LEFT JOIN pg_namespace n ON n.oid = home.oid
WHERE (home.oid IS NULL OR home.oid NOT IN (SELECT oid FROM schema))
  AND (n.nspname IS NULL OR n.nspname !~ '^(pgumbra|pg_toast)')
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e')
ORDER BY 1, 2
