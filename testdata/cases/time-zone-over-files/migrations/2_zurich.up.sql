SET TIME ZONE 'Europe/Zurich';
ALTER TABLE app.events ALTER COLUMN at TYPE timestamptz;
