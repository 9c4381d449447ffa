-- Sessions of this database whose snapshot may be older than transaction $1.
-- $2: the backend that holds the fence; who waits for it, directly or behind
-- others, cannot end before it does. $3 and $4: sessions of ours. VACUUM looks at
-- no rows through its snapshot. A walsender that streams tells what a standby
-- needs; any other one has exported a snapshot, or reads.
WITH RECURSIVE waiting AS MATERIALIZED (
    SELECT pid, pg_blocking_pids(pid) AS blockers FROM pg_stat_activity WHERE wait_event_type = 'Lock'
),
behind (pid) AS (
    SELECT pid FROM waiting WHERE $2 = ANY (blockers)
    UNION
    SELECT w.pid FROM behind b JOIN waiting w ON b.pid = ANY (w.blockers)
)
SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.backend_type, ''), coalesce(a.state, ''),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, left(coalesce(a.query, ''), 400), coalesce(a.xact_start, a.state_change),
       a.pid IN (SELECT pid FROM behind), a.application_name IN ('pg_dump', 'pg_dumpall'), false
FROM pg_stat_activity a
WHERE a.datname = current_database()
  AND a.backend_xmin IS NOT NULL
  AND age(a.backend_xmin) >= age($1::xid8::xid)
  AND a.pid <> pg_backend_pid()
  AND NOT EXISTS (SELECT FROM unnest($3::int[], $4::timestamptz[]) AS o (pid, started) WHERE o.pid = a.pid AND o.started = a.backend_start)
  AND NOT EXISTS (SELECT FROM pg_stat_replication r WHERE r.pid = a.pid AND r.state <> 'startup')
  AND a.backend_type NOT IN ('autovacuum worker', 'autovacuum launcher')
  AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
ORDER BY a.xact_start
