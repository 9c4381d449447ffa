-- Refuses changes of the structure of captured tables. Runs after every DDL
-- statement of the database, so it looks first whether a captured table was
-- touched at all; then the fingerprint decides, not the statement: what changes
-- no structure (indexes, enabling triggers, statistics, comments, grants) passes.
--
-- A statement is refused whole or not at all. CONCURRENTLY commits half of its
-- work before it gets here: an error would leave an index that is not valid, or a
-- partition that is detached by half. Such a statement is alone in its query, so
-- the query's text tells; where it may be one, the change passes, and the run
-- finds it. A table that is about to be rewritten is refused before the work.
CREATE OR REPLACE FUNCTION {function}() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $freeze$
DECLARE
    concurrent boolean := tg_tag IN ('CREATE INDEX', 'DROP INDEX', 'REINDEX', 'ALTER TABLE') AND coalesce(current_query() ~* 'concurrently', true);
    touched oid[];
    changed text;
    source record;
    now jsonb;
    joined oid[];
    lost oid[];
    member oid;
    told boolean;
    done boolean;
BEGIN
    IF {ours} OR current_setting('pgumbra.joining', true) = '1' THEN
        RETURN; -- ourselves: the swap above all
    END IF;
    IF tg_event = 'table_rewrite' THEN
        SELECT pg_event_trigger_table_rewrite_oid()::regclass::text INTO changed
        FROM pg_trigger t WHERE t.tgrelid = pg_event_trigger_table_rewrite_oid() AND starts_with(t.tgname::text, {prefix}) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = '55006', HINT = {hint},
                MESSAGE = format('the structure of %s is frozen while the upgrade %s is under way', changed, {name});
        END IF;
        RETURN;
    ELSIF tg_event = 'sql_drop' THEN
        -- What was dropped is known by name only: parts of a table by their table's,
        -- a key's index by the record.
        SELECT array_agg(DISTINCT r.relid) INTO touched
        FROM pg_event_trigger_dropped_objects() d
        CROSS JOIN LATERAL (
            SELECT c.oid AS relid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE d.object_type IN ('table column', 'table constraint', 'trigger', 'rule', 'policy', 'default value')
              AND n.nspname = d.address_names[1] AND c.relname = d.address_names[2]
            UNION ALL
            SELECT (k.fingerprint->>'root')::oid FROM {captured} k
            WHERE d.object_type = 'index'
              AND EXISTS (SELECT FROM json_array_elements_text(k.fingerprint->'unique') u WHERE u = d.object_identity)
            UNION ALL -- a partition
            SELECT (k.fingerprint->>'root')::oid FROM {captured} k
            WHERE d.object_type = 'table'
              AND EXISTS (SELECT FROM json_array_elements_text(k.fingerprint->'members') m WHERE m::oid = d.objid)
        ) r
        WHERE NOT d.is_temporary;
        -- Our triggers go with their table, too. A partition may go.
        IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() d
                   WHERE d.object_type = 'trigger' AND starts_with(d.address_names[3], {prefix})
                     AND NOT EXISTS (SELECT FROM pg_event_trigger_dropped_objects() o, {captured} k
                         WHERE o.object_type = 'table' AND o.address_names = d.address_names[1:2]
                           AND EXISTS (SELECT FROM json_array_elements_text(k.fingerprint->'members') m WHERE m::oid = o.objid)
                           AND (k.fingerprint->>'root')::oid <> o.objid)) THEN
            RAISE EXCEPTION USING ERRCODE = '55006', HINT = {hint},
                MESSAGE = 'a table or trigger that the upgrade ' || {name} || ' needs would be dropped';
        END IF;
        -- Triggers that are left would fail their clients without what they write to.
        IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() d WHERE d.schema_name = 'pgumbra' AND d.object_type IN ('table', 'sequence', 'function'))
           AND EXISTS (SELECT FROM pg_trigger t WHERE starts_with(t.tgname::text, {prefix})) THEN
            RAISE EXCEPTION USING ERRCODE = '55006', HINT = {hint},
                MESSAGE = 'something that the upgrade ' || {name} || ' needs would be dropped';
        END IF;
    ELSE
        SELECT array_agg(DISTINCT r.relid) INTO touched
        FROM pg_event_trigger_ddl_commands() d
        CROSS JOIN LATERAL (
            SELECT d.objid AS relid WHERE d.classid = 'pg_class'::regclass
            UNION ALL SELECT i.inhparent FROM pg_inherits i WHERE d.classid = 'pg_class'::regclass AND i.inhrelid = d.objid
            UNION ALL SELECT x.indrelid FROM pg_index x WHERE d.classid = 'pg_class'::regclass AND x.indexrelid = d.objid
            UNION ALL SELECT t.tgrelid FROM pg_trigger t WHERE d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
            UNION ALL SELECT k.conrelid FROM pg_constraint k WHERE d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
            UNION ALL SELECT p.polrelid FROM pg_policy p WHERE d.classid = 'pg_policy'::regclass AND p.oid = d.objid
            UNION ALL SELECT w.ev_class FROM pg_rewrite w WHERE d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
            UNION ALL SELECT c.oid FROM pg_class c WHERE d.classid = 'pg_namespace'::regclass AND c.relnamespace = d.objid
        ) r
        WHERE d.schema_name IS DISTINCT FROM 'pg_temp';
    END IF;
    -- Most statements end here, by an index: only captured tables have our triggers.
    IF NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = ANY (touched) AND starts_with(t.tgname::text, {prefix})) THEN
        RETURN;
    END IF;
    FOR source IN
        SELECT k.n, k.production, k.fingerprint::jsonb AS was, (k.fingerprint->>'root')::oid AS root
        FROM {captured} k
        WHERE EXISTS (SELECT FROM json_array_elements_text(k.fingerprint->'members') m WHERE m::oid = ANY (touched))
    LOOP
        now := {fingerprint}(source.root);
        IF EXISTS (SELECT FROM jsonb_each(source.was->'parts') p WHERE now->'parts' ? p.key AND now->'parts'->p.key <> p.value)
           OR source.was->'keys' ? (source.was->>'key') AND NOT now->'keys' ? (source.was->>'key') THEN
            CONTINUE WHEN concurrent;
            RAISE EXCEPTION USING ERRCODE = '55006', HINT = {hint},
                MESSAGE = format('the structure of %s is frozen while the upgrade %s is under way', source.production, {name});
        END IF;
        joined := ARRAY(SELECT m::oid FROM jsonb_array_elements_text(now->'members') m WHERE NOT source.was->'members' @> to_jsonb(m::bigint) ORDER BY 1);
        lost := ARRAY(SELECT m::oid FROM jsonb_array_elements_text(source.was->'members') m WHERE NOT now->'members' @> to_jsonb(m::bigint) ORDER BY 1);
        CONTINUE WHEN joined = '{}' AND lost = '{}';
        IF NOT {partitions_may_change} THEN
            CONTINUE WHEN concurrent;
            RAISE EXCEPTION USING ERRCODE = '55006', HINT = {hint},
                MESSAGE = format('the partitions of %s are frozen while the upgrade %s is under way', source.production, {name});
        END IF;
        -- Partitions come and go: their rows are journalled here and now, so that
        -- nothing has to be copied again. Where that cannot be, or where triggers
        -- were interrupted that nobody has noticed yet, the record stays as it is,
        -- and the run finds the difference.
        done := NOT EXISTS (SELECT FROM jsonb_array_elements_text(source.was->'triggers') line
            JOIN pg_trigger t ON t.oid = (substring(line, ' enabled . oid ([0-9]+) xmin'))::oid
            WHERE NOT now->'triggers' ? line AND t.tgrelid <> ALL (lost));
        PERFORM set_config('pgumbra.joining', '1', true);
        FOREACH member IN ARRAY lost LOOP
            EXECUTE format('SELECT pgumbra.leave_{run}_%s($1)', source.n) INTO told USING member;
            done := done AND told;
        END LOOP;
        FOREACH member IN ARRAY joined LOOP
            EXECUTE format('SELECT pgumbra.join_{run}_%s($1)', source.n) INTO told USING member;
            done := done AND told;
        END LOOP;
        PERFORM set_config('pgumbra.joining', '', true);
        IF done THEN
            {set_fingerprint};
        END IF;
    END LOOP;
END
$freeze$;
REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;
CREATE EVENT TRIGGER {end_trigger} ON ddl_command_end EXECUTE FUNCTION {function}();
CREATE EVENT TRIGGER {drop_trigger} ON sql_drop EXECUTE FUNCTION {function}();
CREATE EVENT TRIGGER {rewrite_trigger} ON table_rewrite EXECUTE FUNCTION {function}();
