CREATE SCHEMA app;
CREATE TYPE app.kind AS ENUM ('full', 'part');
CREATE TABLE app.repos (id serial PRIMARY KEY, url text NOT NULL UNIQUE);
CREATE TABLE app.configs (id int PRIMARY KEY, name text NOT NULL, org int NOT NULL, repo int NOT NULL REFERENCES app.repos,
	CONSTRAINT name_and_org UNIQUE (name, org), CONSTRAINT repo_and_org UNIQUE (repo, org));
CREATE TABLE app.snaps (id int PRIMARY KEY, repo int NOT NULL, made date, org int NOT NULL, kind app.kind NOT NULL DEFAULT 'part', no serial, path text, UNIQUE (repo, org, no));
CREATE INDEX snaps_by_repo ON app.snaps (repo);
CREATE TABLE app.lines (id int PRIMARY KEY, name text);
INSERT INTO app.repos (url) SELECT 'https://example.org/' || n FROM generate_series(1, 40) n;
INSERT INTO app.configs SELECT n, 'c' || n, n % 3, 1 + n % 40 FROM generate_series(1, 110) n;
INSERT INTO app.snaps (id, repo, made, org, kind, path) SELECT n, 1 + n % 41, date '2024-01-01' + n, n % 3, (ARRAY['full', 'part'])[1 + n % 2]::app.kind, '/' || n FROM generate_series(1, 300) n;
INSERT INTO app.lines SELECT n, 'Line ' || n FROM generate_series(1, 200) n;
