-- Sessions that wait for our fence themselves, and behind which sessions of ours
-- ($1) wait: a request for a lock waits for those that came before it, too.
SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.backend_type, ''), coalesce(a.state, ''),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, left(coalesce(a.query, ''), 400), a.xact_start, false, false, false
FROM pg_stat_activity a
WHERE a.wait_event_type = 'Lock' AND a.pid <> ALL ($1::int[])
  AND a.pid IN (SELECT unnest(pg_blocking_pids(w.pid)) FROM pg_stat_activity w WHERE w.pid = ANY ($1::int[]) AND w.wait_event_type = 'Lock')
ORDER BY a.xact_start
