SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.backend_type, ''), coalesce(a.state, ''),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, left(coalesce(a.query, ''), 400), a.xact_start, false,
       a.application_name IN ('pg_dump', 'pg_dumpall'), a.backend_type = 'autovacuum worker' AND a.query ~ '^autovacuum: .*to prevent wraparound'
FROM unnest(pg_blocking_pids($1)) b (pid)
JOIN pg_stat_activity a ON a.pid = b.pid
ORDER BY a.xact_start
