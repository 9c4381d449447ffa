ALTER TABLE app.page ALTER COLUMN id TYPE bigint, ADD COLUMN tag text, ADD COLUMN low text GENERATED ALWAYS AS (app.norm(name) || app.sep()) STORED;
UPDATE app.page SET tag = app.norm(name) WHERE id % 2 = 0;
ALTER TABLE app.part ADD COLUMN extra text NOT NULL DEFAULT app.loud('E'), ALTER COLUMN id TYPE bigint;
ALTER TABLE app.alone ALTER COLUMN id TYPE bigint, ADD CONSTRAINT not_q CHECK (app.norm(name) <> 'q');
CREATE INDEX ON app.page (app.norm(tag));
