-- Called while a query of a new table is planned, by whoever queries: the label
-- IMMUTABLE makes the planner do so, and users need EXECUTE. $1 is
-- mark/oid of the table: what was made with the guard is invisible to whom it
-- refuses.
--
-- Above READ COMMITTED the planner's snapshot is the query's. At READ COMMITTED a
-- client's statement takes a new one once it is planned. Not so a query that a
-- running statement analyses itself (COPY, EXECUTE): that one may have waited
-- with the snapshot which the query gets. Which of these it is, the memory
-- contexts of this session tell: the planner works in that of the client's
-- message, or in a portal's.
-- In between are queries of functions: those of volatile ones take a new
-- snapshot each, those of others read through that of the statement that calls.
CREATE OR REPLACE FUNCTION {function}(text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $pgumbra$
DECLARE
    calls text;
    renewed boolean;
BEGIN
    IF pg_visible_in_snapshot(split_part($1, '/', 1)::xid8, pg_current_snapshot()) THEN
        RETURN true;
    END IF;
    IF current_setting('transaction_isolation') LIKE 'read %' THEN
        IF current_setting('server_version_num')::int >= 180000 THEN
            WITH context AS MATERIALIZED (SELECT name, level, path FROM pg_get_backend_memory_contexts())
            SELECT EXISTS (SELECT FROM context e JOIN context m ON m.path[m.level] = e.path[e.level - 1]
                           WHERE e.name = 'ExecutorState' AND m.name IN ('MessageContext', 'per-parsetree message context')) INTO renewed;
        ELSE
            SELECT EXISTS (SELECT FROM pg_get_backend_memory_contexts()
                           WHERE name = 'ExecutorState' AND parent IN ('MessageContext', 'per-parsetree message context')) INTO renewed;
        END IF;
        -- TRUNCATE and CREATE INDEX ask the planner, too: how many workers to take.
        -- They lock the table as no query does, and read it through no snapshot.
        IF renewed OR EXISTS (
            SELECT FROM pg_locks
            WHERE pid = pg_backend_pid() AND granted AND locktype = 'relation' AND relation = split_part($1, '/', 2)::oid
              AND mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')) THEN
            RETURN true;
        END IF;
        GET DIAGNOSTICS calls = PG_CONTEXT; -- one line for this function, then its callers
        calls := substr(calls, coalesce(nullif(strpos(calls, E'\n'), 0), length(calls)));
        IF calls LIKE E'\n%' AND NOT EXISTS (
            SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE p.provolatile <> 'v' AND p.oid <> {oid} AND n.nspname NOT IN ('pg_catalog', 'information_schema')
              AND (strpos(calls, ' ' || quote_ident(p.proname) || '(') > 0 OR strpos(calls, '.' || quote_ident(p.proname) || '(') > 0
                   OR strpos(calls, '"' || p.proname || '"') > 0)) THEN
            RETURN true;
        END IF;
    END IF;
    RAISE EXCEPTION 'could not serialize access: a table was upgraded after this transaction took its snapshot'
        USING ERRCODE = '40001', HINT = 'The transaction might succeed if retried.';
END
$pgumbra$
