-- What depends, by oid, on something in the schemas that move, and does not
-- move with it. {{which}} tells temporary objects from lasting ones.
WITH {{scope}},
shared (class, oid) AS MATERIALIZED (
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass::oid, t.oid FROM pg_catalog.pg_type t, asked
    WHERE t.oid IN (SELECT pg_catalog.to_regtype(s)::oid FROM asked, pg_catalog.unnest(asked.shared) s)
       OR t.typelem IN (SELECT pg_catalog.to_regtype(s)::oid FROM asked, pg_catalog.unnest(asked.shared) s) AND t.typcategory = 'A'
    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, pg_catalog.to_regclass(s)::oid FROM asked, pg_catalog.unnest(asked.shared) s
    WHERE pg_catalog.to_regclass(s) IS NOT NULL
),
member (class, oid) AS MATERIALIZED ( -- of extensions: these stay what they are, their rows' types too
    SELECT e.classid, e.objid FROM pg_catalog.pg_depend e WHERE e.deptype = 'e'
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid FROM pg_catalog.pg_depend e
    JOIN pg_catalog.pg_class c ON e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = e.objid
    JOIN pg_catalog.pg_type r ON r.oid = c.reltype
    JOIN pg_catalog.pg_type t ON t.oid IN (r.oid, r.typarray)
    WHERE e.deptype = 'e'
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, r.typarray FROM pg_catalog.pg_depend e
    JOIN pg_catalog.pg_type r ON e.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND r.oid = e.objid
    WHERE e.deptype = 'e' AND r.typarray <> 0
),
inside (class, oid) AS (
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, oid FROM relation
    UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid FROM pg_catalog.pg_type WHERE typnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid FROM pg_catalog.pg_proc WHERE pronamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid FROM pg_catalog.pg_operator WHERE oprnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, oid FROM pg_catalog.pg_opclass WHERE opcnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, oid FROM pg_catalog.pg_opfamily WHERE opfnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid FROM pg_catalog.pg_constraint WHERE connamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, oid FROM pg_catalog.pg_collation WHERE collnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, oid FROM pg_catalog.pg_conversion WHERE connamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, oid FROM pg_catalog.pg_statistic_ext WHERE stxnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid FROM pg_catalog.pg_ts_config WHERE cfgnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid FROM pg_catalog.pg_ts_dict WHERE dictnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, oid FROM pg_catalog.pg_ts_parser WHERE prsnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_ts_template'::pg_catalog.regclass, oid FROM pg_catalog.pg_ts_template WHERE tmplnamespace IN (SELECT oid FROM schema)
    UNION ALL SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid FROM schema
),
moving AS MATERIALIZED (SELECT class, oid FROM inside EXCEPT SELECT class, oid FROM shared EXCEPT SELECT class, oid FROM member),
dependent AS MATERIALIZED (
    SELECT DISTINCT d.classid, d.objid, d.refclassid, d.refobjid
    FROM pg_catalog.pg_depend d JOIN moving m ON m.class = d.refclassid AND m.oid = d.refobjid
    WHERE d.deptype IN ('n', 'a')
      -- whatever is in a schema depends on it; a publication of all its tables lives nowhere
      AND (d.refclassid <> 'pg_catalog.pg_namespace'::pg_catalog.regclass OR d.classid = pg_catalog.to_regclass('pg_catalog.pg_publication_namespace')::oid)
)
SELECT pg_catalog.pg_describe_object(d.classid, d.objid, 0),
       pg_catalog.array_to_string((pg_catalog.array_agg(DISTINCT pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0)))[1:3], ', ')
FROM dependent d
CROSS JOIN LATERAL (SELECT {{home}} AS oid) home
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = home.oid
WHERE (home.oid IS NULL OR home.oid NOT IN (SELECT oid FROM schema)
       OR (d.classid, d.objid) IN (SELECT class, oid FROM member))
  AND (n.nspname IS NULL OR n.nspname !~ '^(pgumbra(_|$)|pg_toast)')
  AND {{which}}
GROUP BY d.classid, d.objid
ORDER BY 1
LIMIT 50
