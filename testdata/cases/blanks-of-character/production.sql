CREATE SCHEMA app;
CREATE TABLE app.codes (id int PRIMARY KEY, code text, land char(4), note text);
INSERT INTO app.codes SELECT i, left('abcdef', 1 + i % 6), (ARRAY['ch', 'de', NULL])[1 + i % 3], 'n' FROM generate_series(1, 30) i;
