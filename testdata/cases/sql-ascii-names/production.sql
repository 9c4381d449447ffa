CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, v text);
DO $$ BEGIN EXECUTE 'CREATE TABLE app.stra' || chr(223) || 'en (id int PRIMARY KEY, l' || chr(228) || 'nge int)'; END $$;
