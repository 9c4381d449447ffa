CREATE SCHEMA app;
CREATE TABLE app.runs (id int PRIMARY KEY, status text NOT NULL, revision int NOT NULL DEFAULT 0, ended int);
CREATE TABLE app.jobs (id int PRIMARY KEY, run int, status text, ended int);
CREATE TABLE app.notes (id serial PRIMARY KEY, run int UNIQUE, text text);
CREATE TABLE app.lines (id int PRIMARY KEY, name text);
INSERT INTO app.runs SELECT n, CASE WHEN n % 3 = 0 THEN 'Done' ELSE 'Running' END FROM generate_series(1, 90) n;
INSERT INTO app.jobs SELECT n, n % 100, CASE WHEN n % 7 = 0 THEN 'Stopped' ELSE 'Success' END, n FROM generate_series(1, 400) n;
INSERT INTO app.notes (run, text) SELECT n, 'note ' || n FROM generate_series(1, 20) n;
INSERT INTO app.lines SELECT n, 'Line ' || n FROM generate_series(1, 200) n;
