DO $$ DECLARE
    broken text;
BEGIN
    IF (SELECT count(*) FROM {captured} k) <> {tables} THEN
        RAISE EXCEPTION 'the {direction} capture is not whole: it is of % tables, and {tables} are to be captured', (SELECT count(*) FROM {captured} k);
    END IF;
    WITH recorded AS MATERIALIZED (
        SELECT line, (pg_catalog.substring(line, ' enabled . oid ([0-9]+) xmin'))::pg_catalog.oid AS oid
        FROM {captured} k, pg_catalog.json_array_elements_text(k.fingerprint->'triggers') line)
    SELECT line INTO broken FROM recorded r
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.oid = r.oid AND t.tgenabled = 'A')
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the {direction} capture is not whole: %', broken;
    END IF;
END $$