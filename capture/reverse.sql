DO $$ DECLARE
    recorded text;
BEGIN
    SELECT line INTO recorded
    FROM pgumbra.captured k, pg_catalog.json_array_elements_text(k.fingerprint->'triggers') line
    WHERE k.run_id = {run} AND k.direction = 'reverse' AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_trigger t
        WHERE t.oid = (pg_catalog.substring(line, ' enabled . oid ([0-9]+) xmin'))::pg_catalog.oid AND t.tgenabled = 'A')
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the reverse capture is not whole: %', recorded;
    END IF;
END $$