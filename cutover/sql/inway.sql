-- Sessions that have been in a transaction for longer than $2 seconds and hold
-- a snapshot (with $3), or a lock on a table of schemas $1 that the fence must
-- wait for (walsenders that stream hold none); and vacuums of these tables that must not be interrupted.
WITH tables AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p')
),
session AS (
    SELECT a.*, a.backend_type = 'autovacuum worker' AND a.query ~ '^autovacuum: .*to prevent wraparound' AS wraparound,
           coalesce(a.xact_start, a.state_change) AS began,
           EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation' AND l.mode <> 'AccessShareLock'
                   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                   AND l.relation IN (SELECT oid FROM tables)) AS locks
    FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
      AND NOT EXISTS (SELECT FROM unnest($4::int[], $5::timestamptz[]) AS o (pid, started) WHERE o.pid = a.pid AND o.started = a.backend_start)
)
SELECT pid, coalesce(usename::text, ''), coalesce(application_name, ''), coalesce(backend_type, ''), coalesce(state, ''),
       coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float8, left(coalesce(query, ''), 400), xact_start, false,
       application_name IN ('pg_dump', 'pg_dumpall'), wraparound
FROM session
WHERE wraparound AND locks
   OR backend_type NOT IN ('autovacuum worker', 'autovacuum launcher')
      AND NOT EXISTS (SELECT FROM pg_stat_replication r WHERE r.pid = session.pid AND r.state <> 'startup')
      AND clock_timestamp() - began > make_interval(secs => $2)
      AND ($3 AND backend_xmin IS NOT NULL OR locks)
      AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = session.pid AND NOT session.locks)
ORDER BY xact_start
