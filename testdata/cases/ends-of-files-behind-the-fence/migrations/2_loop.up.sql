CREATE TEMP TABLE keep (id int) ON COMMIT DROP;
INSERT INTO keep SELECT id FROM app.t WHERE n % 2 = 0;
DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM keep LOOP UPDATE app.t SET n = n + 100 WHERE id = r.id; END LOOP; END $$;
