-- The partition trees of relations $1, root first; of other tables the table.
SELECT r.oid, c.oid, n.nspname::text, c.relname::text, c.relkind <> 'p'
FROM pg_catalog.unnest($1::oid[]) r (oid)
JOIN pg_catalog.pg_class c ON c.oid = r.oid OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(r.oid))
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY r.oid, c.oid <> r.oid, c.oid
