SELECT c.oid, pg_table_size(c.oid) AS bytes
FROM pg_class c
WHERE c.relkind IN ('r', 'm') AND c.relnamespace = ANY ($1)
