-- Columns of integers in tables of schemas $1 that draw from a sequence, with it: the one
-- that their default asks, else one that is theirs. Partitions have what their root has.
SELECT s.oid, sn.nspname::text, s.relname::text, t.oid, tn.nspname::text, t.relname::text, a.attname::text
FROM pg_catalog.pg_class t
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type y ON y.oid = a.atttypid AND coalesce(nullif(y.typbasetype, 0), y.oid) IN ('int2'::pg_catalog.regtype, 'int4'::pg_catalog.regtype, 'int8'::pg_catalog.regtype, 'numeric'::pg_catalog.regtype)
CROSS JOIN LATERAL (
    SELECT d.objid FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.refobjid = t.oid AND d.refobjsubid = a.attnum AND (d.deptype = 'i' OR d.deptype = 'a'
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_attrdef f WHERE f.adrelid = t.oid AND f.adnum = a.attnum
                           AND pg_catalog.pg_get_expr(f.adbin, f.adrelid) ~ '^\(*nextval\(''.*''::regclass\)\)*(::[a-z ]+)?$'))
    UNION
    SELECT d.refobjid FROM pg_catalog.pg_attrdef f
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid
         AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'n'
    WHERE f.adrelid = t.oid AND f.adnum = a.attnum
      AND pg_catalog.pg_get_expr(f.adbin, f.adrelid) ~ '^\(*nextval\(''.*''::regclass\)\)*(::[a-z ]+)?$'
) drawn (oid)
JOIN pg_catalog.pg_class s ON s.oid = drawn.oid AND s.relkind = 'S'
JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
WHERE tn.nspname = ANY ($1) AND t.relkind IN ('r', 'p') AND NOT t.relispartition
ORDER BY s.oid, t.oid, a.attnum
