ALTER TABLE app.parts ADD COLUMN size int NOT NULL DEFAULT 3;
ALTER TABLE app.snapshots ADD COLUMN note text;
CREATE INDEX ON app.lines (snapshot);
ALTER TABLE app.templates ADD COLUMN active boolean NOT NULL DEFAULT true;
UPDATE app.templates SET active = false WHERE day > 90;
