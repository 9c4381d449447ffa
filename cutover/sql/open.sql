-- Clients of this database that have been in a transaction for longer than $1
-- seconds: a pool cannot be held before they end.
SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.backend_type, ''), coalesce(a.state, ''),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, left(coalesce(a.query, ''), 400), a.xact_start, false,
       a.application_name IN ('pg_dump', 'pg_dumpall'), false
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
  AND NOT EXISTS (SELECT FROM unnest($2::int[], $3::timestamptz[]) AS o (pid, started) WHERE o.pid = a.pid AND o.started = a.backend_start)
  AND clock_timestamp() - a.xact_start > make_interval(secs => $1)
ORDER BY a.xact_start
LIMIT 10
