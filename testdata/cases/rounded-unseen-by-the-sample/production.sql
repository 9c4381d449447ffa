CREATE SCHEMA app;
CREATE TABLE app.reads (id int PRIMARY KEY, at timestamptz NOT NULL, day timestamp, v numeric(12,4), note text);
INSERT INTO app.reads SELECT i, '2026-01-01 00:00:00.55+00'::timestamptz + i * '1.26 s'::interval, '2026-01-01 10:00'::timestamp + i * '1 h'::interval, i / 3.0, 'n' FROM generate_series(1, 60) i;
