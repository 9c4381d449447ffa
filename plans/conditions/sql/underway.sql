-- Sessions whose open transaction may commit a change of the schemas that no
-- look at the catalogs shows before it does. CREATE of a relation locks its
-- schema, and what is altered or dropped is locked itself; making or replacing a
-- function, type or operator, a GRANT, a publication or an event trigger locks
-- nothing, but takes a transaction number, for which there is no other reason
-- then: whoever writes rows holds the table's lock.
--
-- Sessions are read before the locks, and a number counts that is locked still
-- then: a transaction that began or ended between the two looks is none without
-- locks. A table is locked before the first row of it is written.
WITH {{scope}},
session AS MATERIALIZED (
    SELECT a.pid, a.usename, a.application_name, a.backend_xid FROM pg_catalog.pg_stat_activity a
    WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
      AND NOT EXISTS (SELECT FROM asked, unnest(asked.pids, asked.started) AS o (pid, started) WHERE o.pid = a.pid AND o.started = a.backend_start)
      AND a.backend_type = 'client backend'
),
lock AS MATERIALIZED (
    SELECT l.pid, l.locktype, l.classid, l.objid, l.relation, l.transactionid, l.mode, l.granted
    FROM (SELECT count(*) AS n FROM session) AS before
    CROSS JOIN LATERAL (SELECT k.* FROM pg_catalog.pg_lock_status() k WHERE before.n >= 0 OFFSET 0) AS l
    -- who waits to lock a table exclusively has been given its number for that
    WHERE (l.granted OR l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation') AND l.pid <> pg_catalog.pg_backend_pid()
      AND (l.locktype = 'transactionid' OR l.locktype IN ('relation', 'object')
        AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
),
held AS MATERIALIZED (
    SELECT l.pid,
           pg_catalog.bool_or(l.locktype = 'relation' AND l.mode <> 'AccessShareLock' AND (l.relation >= 16384 OR l.relation = 2613)) AS writes,
           pg_catalog.bool_or(l.locktype = 'object' AND l.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
                              AND l.objid IN (SELECT oid FROM schema)) AS makes,
           pg_catalog.bool_or(l.locktype = 'object' AND EXISTS (
                SELECT FROM pg_catalog.pg_depend d JOIN schema s ON d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = s.oid
                WHERE d.classid = l.classid AND d.objid = l.objid)
             OR l.granted AND l.locktype = 'relation' AND l.mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
                AND l.relation IN (SELECT oid FROM relation WHERE relkind NOT IN ('r', 'p'))) AS alters,
           -- a new relation outside, and something of ours read
           pg_catalog.bool_or(l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = l.relation))
             AND pg_catalog.bool_or(l.locktype = 'relation' AND l.relation IN (SELECT oid FROM relation))
             AND pg_catalog.bool_or(l.locktype = 'object' AND l.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND EXISTS (
                SELECT FROM pg_catalog.pg_namespace n WHERE n.oid = l.objid AND n.nspname !~ '^pg_temp_')) AS reads
    FROM lock l GROUP BY l.pid
)
SELECT pg_catalog.format('session %s (%s%s)', a.pid, a.usename, CASE WHEN a.application_name <> '' THEN ', ' || a.application_name END),
       a.pid::text
FROM session a LEFT JOIN held h ON h.pid = a.pid
WHERE h.makes OR h.alters OR h.reads OR NOT coalesce(h.writes, false)
   AND EXISTS (SELECT FROM lock l WHERE l.pid = a.pid AND l.locktype = 'transactionid' AND l.granted AND l.transactionid = a.backend_xid)
ORDER BY a.pid
