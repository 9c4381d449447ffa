GRANT CREATE ON DATABASE :"DBNAME" TO "case far bot";
ALTER TABLE public.schema_migrations OWNER TO "case far bot";
CREATE SCHEMA app AUTHORIZATION "case far bot";
SET ROLE "case far bot";
CREATE TABLE app.t (id serial PRIMARY KEY, grp int NOT NULL, took interval NOT NULL, told text);
INSERT INTO app.t (grp, took) SELECT g % 7, g * interval '1 minute' FROM generate_series(1, 500) g;
