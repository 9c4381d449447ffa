-- Tables of the schemas $1: of partition trees the root, with the sizes of all
-- members. Rows -1: never analyzed. A usable key: unique, immediate, valid, total, of plain NOT NULL columns.
SELECT n.nspname::text, c.relname::text, sizes.rows, sizes.bytes, sizes.toast,
       EXISTS (SELECT FROM pg_catalog.pg_index i
               WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid
                 AND i.indpred IS NULL AND i.indexprs IS NULL
                 AND NOT EXISTS (SELECT FROM pg_catalog.unnest(i.indkey::smallint[]) WITH ORDINALITY k (attnum, place)
                                 JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                                 WHERE k.place <= i.indnkeyatts AND NOT a.attnotnull))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT coalesce(CASE WHEN min(m.reltuples) < 0 THEN -1 ELSE sum(m.reltuples) END, 0)::bigint AS rows,
           coalesce(sum(pg_catalog.pg_table_size(m.oid)), 0)::bigint AS bytes,
           coalesce(sum(pg_catalog.pg_relation_size(nullif(m.reltoastrelid, 0))), 0)::bigint AS toast
    FROM pg_catalog.pg_class m
    WHERE m.relkind = 'r'
      AND (m.oid = c.oid OR m.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree(c.oid) t))
) sizes
WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2
