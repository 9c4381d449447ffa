-- Sequences of schemas $1, in the order in which everybody of ours locks them.
SELECT c.oid, n.nspname::text, c.relname::text, pg_get_userbyid(c.relowner)::text
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1) AND c.relkind = 'S'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
