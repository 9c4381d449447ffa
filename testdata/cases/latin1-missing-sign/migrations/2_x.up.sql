ALTER TABLE app.t ADD COLUMN price text DEFAULT '20 €';
