-- Materialized views of schemas $1. Every REFRESH writes the view's row in pg_class
-- anew, also one that changes nothing in it, CONCURRENTLY; so do DDL and GRANT, which
-- does no harm. ANALYZE and VACUUM write it in place.
SELECT n.nspname::text, c.relname::text, format('%s/%s/%s', c.oid, c.xmin, c.relfilenode), c.relispopulated, obj_description(c.oid, 'pg_class')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1) AND c.relkind = 'm'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
