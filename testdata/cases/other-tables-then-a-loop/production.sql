CREATE SCHEMA app;
CREATE TABLE app.owners (id int PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE app.things (id serial PRIMARY KEY, owner int, kind text, weight int NOT NULL DEFAULT 1);
CREATE INDEX ON app.things (owner);
