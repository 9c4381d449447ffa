ALTER TABLE app.lines ALTER COLUMN id TYPE bigint;
UPDATE app.lines SET name = upper(name) WHERE id % 2 = 0;
