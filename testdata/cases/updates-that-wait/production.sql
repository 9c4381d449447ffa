CREATE SCHEMA app;
CREATE TABLE app.parts (id int PRIMARY KEY, name text, label text NOT NULL DEFAULT '', org int NOT NULL, CONSTRAINT old_check CHECK (org > -5));
CREATE TABLE app.snapshots (id int PRIMARY KEY, part int NOT NULL REFERENCES app.parts ON DELETE CASCADE, made int NOT NULL);
CREATE TABLE app.templates (id int PRIMARY KEY, day int NOT NULL);
CREATE TABLE app.lines (template int NOT NULL REFERENCES app.templates, part int NOT NULL REFERENCES app.parts ON DELETE CASCADE, PRIMARY KEY (template, part));
INSERT INTO app.parts SELECT n, 'part ' || n % 40, '', n % 3 FROM generate_series(1, 120) n;
INSERT INTO app.snapshots SELECT n, 1 + n % 110, n * 7 % 101 FROM generate_series(1, 400) n;
INSERT INTO app.templates SELECT n, n * 9 FROM generate_series(1, 12) n;
INSERT INTO app.lines SELECT t, p FROM generate_series(1, 12) t, generate_series(1, 115) p WHERE (t + p) % 4 = 0;
