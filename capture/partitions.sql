-- Called by the event trigger, in the transaction that made or dropped a
-- partition. false: not all of its rows could be journalled.
CREATE OR REPLACE FUNCTION {join}(member pg_catalog.oid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $join$
DECLARE
    name text := (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = member);
    leaf boolean := (SELECT c.relkind <> 'p' FROM pg_class c WHERE c.oid = member);
BEGIN
    EXECUTE replace(CASE WHEN leaf THEN {leaf} ELSE {branch} END, {any}, name);
    IF NOT leaf OR {came} = '' THEN
        RETURN true;
    ELSIF pg_table_size(member) > {most} THEN
        RETURN false; -- more than the journals should take at once: copied again
    END IF;
    EXECUTE replace({came}, {any}, name);
    RETURN true;
END
$join$;
REVOKE ALL ON FUNCTION {join}(pg_catalog.oid) FROM PUBLIC;
CREATE OR REPLACE FUNCTION {leave}(member pg_catalog.oid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $leave$
DECLARE
    name text := (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = member);
    leaf boolean := (SELECT c.relkind <> 'p' FROM pg_class c WHERE c.oid = member);
    own name;
BEGIN
    FOR own IN SELECT t.tgname FROM pg_trigger t WHERE t.tgrelid = member AND NOT t.tgisinternal AND starts_with(t.tgname::text, {prefix}) LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', own, name);
    END LOOP;
    IF {went} = '' OR NOT leaf THEN
        RETURN true;
    ELSIF {needed} = 'table' AND (name IS NULL OR pg_table_size(member) > {most}) THEN
        RETURN false; -- without a key each row has to be told
    END IF;
    EXECUTE replace({went}, {any}, coalesce(name, '')) USING member;
    RETURN true;
END
$leave$;
REVOKE ALL ON FUNCTION {leave}(pg_catalog.oid) FROM PUBLIC;
