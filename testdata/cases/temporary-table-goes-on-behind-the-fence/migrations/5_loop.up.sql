DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM keep ORDER BY id LOOP UPDATE app.t SET n = n + 100 WHERE id = r.id; END LOOP; END $$;
