DO $$ DECLARE r record; BEGIN
	FOR r IN SELECT owner, count(*) AS n FROM app.things WHERE owner_name IS NOT NULL GROUP BY owner ORDER BY owner LOOP
		INSERT INTO app.things (owner, kind, weight, owner_name) VALUES (r.owner, 'spare', r.n, 'of ' || r.owner);
	END LOOP;
END $$;
