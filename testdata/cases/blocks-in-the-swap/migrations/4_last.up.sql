CREATE TABLE app.words (id int PRIMARY KEY, name text);
INSERT INTO app.words SELECT id, lower(name) FROM app.lines WHERE id > 100;
