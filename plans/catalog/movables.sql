WITH object AS (
    SELECT 3 AS place, CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                    WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS kind,
           'pg_class'::regclass AS class, c.oid, relname AS name,
           CASE WHEN relkind = 'c' THEN reltype ELSE 0 END AS rowtype
    FROM pg_class c
    WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND d.objsubid = 0 AND relkind = 'S' AND d.refclassid = 'pg_class'::regclass
                      AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i'))
    UNION ALL
    SELECT 4, CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, 'pg_type'::regclass, oid, typname, 0
    FROM pg_type
    WHERE typnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND typrelid = 0 AND NOT (typcategory = 'A' AND typelem <> 0)
    UNION ALL
    SELECT 1, CASE prokind WHEN 'a' THEN 'AGGREGATE' ELSE 'ROUTINE' END, 'pg_proc'::regclass, oid, proname, 0
    FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    UNION ALL
    SELECT 2, 'OPERATOR', 'pg_operator'::regclass, oid, oprname, 0
    FROM pg_operator WHERE oprnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    UNION ALL
    SELECT 5, 'OPERATOR CLASS', 'pg_opclass'::regclass, oid, opcname, 0
    FROM pg_opclass WHERE opcnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    UNION ALL
    SELECT 5, 'OPERATOR FAMILY', 'pg_opfamily'::regclass, oid, opfname, 0
    FROM pg_opfamily WHERE opfnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    UNION ALL
    SELECT 6, 'COLLATION', 'pg_collation'::regclass, oid, collname, 0
    FROM pg_collation WHERE collnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    UNION ALL
    SELECT 6, 'CONVERSION', 'pg_conversion'::regclass, oid, conname, 0
    FROM pg_conversion WHERE connamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    UNION ALL
    SELECT 7, 'TEXT SEARCH CONFIGURATION', 'pg_ts_config'::regclass, oid, cfgname, 0
    FROM pg_ts_config WHERE cfgnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    UNION ALL
    SELECT 7, 'TEXT SEARCH DICTIONARY', 'pg_ts_dict'::regclass, oid, dictname, 0
    FROM pg_ts_dict WHERE dictnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    UNION ALL
    SELECT 7, 'TEXT SEARCH PARSER', 'pg_ts_parser'::regclass, oid, prsname, 0
    FROM pg_ts_parser WHERE prsnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    UNION ALL
    SELECT 7, 'TEXT SEARCH TEMPLATE', 'pg_ts_template'::regclass, oid, tmplname, 0
    FROM pg_ts_template WHERE tmplnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    UNION ALL
    SELECT 8, 'STATISTICS', 'pg_statistic_ext'::regclass, oid, stxname, 0
    FROM pg_statistic_ext WHERE stxnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
)
SELECT o.kind, i.identity, $1::text, o.name::text, o.class::oid, o.oid
FROM object o
CROSS JOIN LATERAL pg_identify_object(o.class::oid, o.oid, 0) i
WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype = 'e'
                  AND (e.classid, e.objid) IN ((o.class::oid, o.oid), ('pg_type'::regclass::oid, o.rowtype::oid)))
  AND NOT EXISTS (SELECT FROM pg_depend e
                  JOIN pg_type t ON t.oid = e.refobjid
                  JOIN pg_depend x ON x.classid = 'pg_type'::regclass AND x.objid = t.oid AND x.deptype = 'e'
                  WHERE e.classid = o.class::oid AND e.objid = o.oid AND e.deptype = 'i' AND e.refclassid = 'pg_type'::regclass)
ORDER BY o.place, o.kind, o.name, i.identity
