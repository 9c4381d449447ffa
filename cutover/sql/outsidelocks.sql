-- What backend $1 has locked more strongly than a reader, beyond the shadow's
-- own relations (schemas $2), catalogs and what it has made itself, which nobody
-- else sees yet. A sequence that it drew from is locked against DDL only.
SELECT string_agg(DISTINCT format('%I.%I', n.nspname, c.relname), ', ')
FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = $1 AND l.locktype = 'relation' AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode <> 'AccessShareLock' AND NOT (c.relkind = 'S' AND l.mode = 'RowExclusiveLock')
  AND n.nspname <> ALL ($2) AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'pgumbra'
