ALTER TABLE app.snaps ADD COLUMN size bigint NOT NULL DEFAULT 0;
ALTER TABLE app.lines ALTER COLUMN id TYPE bigint;
UPDATE app.lines SET name = upper(name) WHERE id % 2 = 0;
