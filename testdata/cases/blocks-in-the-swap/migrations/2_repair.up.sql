DO $$
DECLARE
	current record;
	of_jobs record;
	several int;
	final text;
BEGIN
	FOR current IN SELECT * FROM app.runs WHERE status = 'Running' ORDER BY id LOOP
		several := 0;
		FOR of_jobs IN SELECT status FROM app.jobs WHERE app.jobs.run = current.id GROUP BY status ORDER BY status LOOP
			several := several + 1;
			final := of_jobs.status;
		END LOOP;
		IF several = 1 AND final = 'Success' THEN
			UPDATE app.runs SET status = 'Success', revision = revision + 1 WHERE id = current.id;
			UPDATE app.runs SET ended = (SELECT max(j.ended) FROM app.jobs j WHERE j.run = app.runs.id) WHERE id = current.id;
		ELSIF NOT EXISTS (SELECT * FROM app.notes n WHERE n.run = current.id AND n.text LIKE 'note 1%') THEN
			INSERT INTO app.notes (run, text) VALUES (current.id, coalesce(final, 'none')) ON CONFLICT (run) DO UPDATE SET text = excluded.text || ' again' RETURNING id INTO several;
		END IF;
	END LOOP;
END $$;
ALTER TABLE app.runs ADD CONSTRAINT runs_status CHECK (status IN ('Running', 'Done', 'Success'));
ALTER TABLE app.runs ADD COLUMN vendor text DEFAULT 'own';
