CREATE SCHEMA app;
CREATE TYPE app.address AS (street text, city text);
CREATE TABLE app.places (id int PRIMARY KEY, code text NOT NULL UNIQUE, at app.address, tags text[]);
CREATE TABLE app.visits (id int PRIMARY KEY, place text REFERENCES app.places (code) ON UPDATE CASCADE, n int);
CREATE INDEX ON app.visits (place);
CREATE TABLE app.nulls (id int PRIMARY KEY, place text REFERENCES app.places (code) ON UPDATE SET NULL);
