CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, v text);
DO $$ BEGIN EXECUTE 'ALTER TABLE app.t ALTER v SET DEFAULT ''stra' || chr(223) || 'e'''; END $$;
INSERT INTO app.t VALUES (1);
