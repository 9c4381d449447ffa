-- Sizes of production's tables: $1 their oids. Rows are the last ANALYZE's
-- density times the pages there are now, as the planner counts; -1: not known.
SELECT c.oid,
       CASE WHEN c.relkind <> 'r' OR s.bytes = 0 THEN 0
            WHEN c.reltuples < 0 OR c.relpages = 0 THEN -1
            ELSE (c.reltuples / c.relpages * s.blocks)::bigint END,
       pg_catalog.pg_table_size(c.oid),
       s.blocks,
       CASE WHEN c.reltoastrelid <> 0 THEN pg_catalog.pg_relation_size(c.reltoastrelid) ELSE 0 END,
       (SELECT count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND c.relkind = 'r'),
       pg_catalog.pg_indexes_size(c.oid)
FROM pg_catalog.pg_class c
CROSS JOIN LATERAL (
    SELECT CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_relation_size(c.oid) ELSE 0 END AS bytes,
           CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int ELSE 0 END AS blocks
) s
WHERE c.oid = ANY ($1::pg_catalog.oid[])
