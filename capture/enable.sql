DO $$ DECLARE
    silenced text;
BEGIN
    FOR silenced IN SELECT pg_catalog.format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %I', t.tgrelid::pg_catalog.regclass, t.tgname)
        FROM {captured} k, pg_catalog.json_array_elements_text(k.fingerprint->'triggers') line
        JOIN pg_catalog.pg_trigger t ON t.oid = (pg_catalog.substring(line, ' enabled . oid ([0-9]+) xmin'))::pg_catalog.oid
        WHERE t.tgenabled <> 'A'
    LOOP
        EXECUTE silenced;
    END LOOP;
END $$;
