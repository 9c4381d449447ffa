CREATE SCHEMA app;
CREATE FUNCTION app.factor() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2';
CREATE FUNCTION app.points(spent int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT spent * app.factor()';
CREATE TABLE app.members (id int PRIMARY KEY, spent int NOT NULL, points int, bonus int);
INSERT INTO app.members SELECT i, i * 10, 0, 0 FROM generate_series(1, 50) i;
