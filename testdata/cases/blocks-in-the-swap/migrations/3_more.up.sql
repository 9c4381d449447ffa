ALTER TABLE app.lines ALTER COLUMN id TYPE bigint;
UPDATE app.lines SET name = upper(name) WHERE id % 2 = 0;
DO $$
BEGIN
	IF (SELECT count(*) FROM app.notes) > 30 THEN
		DELETE FROM app.jobs WHERE status = 'Stopped' AND NOT EXISTS (SELECT 1 FROM app.runs WHERE app.runs.id = app.jobs.run);
	END IF;
END $$;
