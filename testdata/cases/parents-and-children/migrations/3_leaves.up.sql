ALTER TABLE app.second NO INHERIT app.base;
UPDATE app.base SET a = a + 1;
ALTER TABLE app.base ADD COLUMN e int DEFAULT 4;
ALTER TABLE app.base ALTER COLUMN a TYPE bigint;
