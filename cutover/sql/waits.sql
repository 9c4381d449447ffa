-- Sessions that hold a lock for which one of pgumbra's in this database has waited for
-- longer than $1 seconds. Told to people, and nothing else: any client may call itself
-- pgumbra. Advisory locks are what our own sessions wait for each other by.
SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.backend_type, ''), coalesce(a.state, ''),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, left(coalesce(a.query, ''), 400), a.xact_start, false,
       a.application_name IN ('pg_dump', 'pg_dumpall'), a.backend_type = 'autovacuum worker' AND a.query ~ '^autovacuum: .*to prevent wraparound'
FROM pg_stat_activity a
WHERE a.pid IN (SELECT unnest(pg_blocking_pids(w.pid)) FROM pg_stat_activity w
                WHERE w.datname = current_database() AND w.application_name LIKE 'pgumbra/%' AND w.wait_event_type = 'Lock' AND w.wait_event <> 'advisory'
                  AND clock_timestamp() - w.query_start > make_interval(secs => $1))
  AND a.application_name NOT LIKE 'pgumbra/%'
ORDER BY a.xact_start
