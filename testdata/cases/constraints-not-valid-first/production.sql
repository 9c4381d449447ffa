CREATE SCHEMA app;
CREATE TABLE app.owners (id int PRIMARY KEY, name text);
CREATE TABLE app.things (id int PRIMARY KEY, owner int, weight int, name text);
CREATE INDEX ON app.things (owner);
