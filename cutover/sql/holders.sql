-- Sessions of this database whose snapshot may be older than transaction $1.
-- $2: the backend that holds the fence. VACUUM looks at no rows through its
-- snapshot. Utility statements keep theirs while they wait for a lock.
SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.backend_type, ''), coalesce(a.state, ''),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, left(coalesce(a.query, ''), 400), a.xact_start,
       CASE WHEN a.wait_event_type = 'Lock' AND $2 = ANY (pg_blocking_pids(a.pid)) THEN
            a.query !~* '^\s*(copy|declare|create|explain|refresh|select\s.*\sinto\s)'
            OR EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND NOT l.granted
                       AND l.mode NOT IN ('AccessShareLock', 'RowShareLock'))
       ELSE false END,
       a.application_name IN ('pg_dump', 'pg_dumpall'), false
FROM pg_stat_activity a
WHERE a.datname = current_database()
  AND a.backend_xmin IS NOT NULL
  AND age(a.backend_xmin) >= age($1::xid8::xid)
  AND a.pid <> pg_backend_pid()
  AND NOT EXISTS (SELECT FROM unnest($3::int[], $4::timestamptz[]) AS o (pid, started) WHERE o.pid = a.pid AND o.started = a.backend_start)
  AND a.backend_type NOT IN ('walsender', 'autovacuum worker', 'autovacuum launcher')
  AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
ORDER BY a.xact_start
