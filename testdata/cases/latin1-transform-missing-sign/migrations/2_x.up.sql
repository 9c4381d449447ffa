ALTER TABLE app.t ADD COLUMN price text;
