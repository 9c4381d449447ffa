CREATE SCHEMA app;
CREATE TABLE app.docs (id serial PRIMARY KEY, data jsonb, meta json);
CREATE INDEX ON app.docs USING gin (data);
