-- A row if backend $1 waits for somebody who waits, directly or not, for $1:
-- the relation that it waits for, and those that the others wait for.
WITH RECURSIVE before (pid) AS (
    SELECT unnest(pg_blocking_pids($1))
    UNION
    SELECT n FROM before CROSS JOIN LATERAL unnest(pg_blocking_pids(pid)) n WHERE pid <> $1
)
SELECT coalesce((SELECT l.relation FROM pg_locks l WHERE l.pid = $1 AND NOT l.granted AND l.locktype = 'relation'), 0),
       coalesce((SELECT array_agg(DISTINCT l.relation) FROM pg_locks l JOIN before b ON b.pid = l.pid AND b.pid <> $1
                 WHERE NOT l.granted AND l.locktype = 'relation'), '{}')
WHERE EXISTS (SELECT FROM before WHERE pid = $1)
