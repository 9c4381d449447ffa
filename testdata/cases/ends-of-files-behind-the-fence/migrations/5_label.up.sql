INSERT INTO rows VALUES (7);
UPDATE app.t SET n = n + 7 WHERE id IN (SELECT id FROM rows);
DO $$ BEGIN
  ALTER TYPE app.kind ADD VALUE 'c';
EXCEPTION WHEN duplicate_object THEN null;
END $$;
