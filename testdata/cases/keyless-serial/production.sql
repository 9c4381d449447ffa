CREATE SCHEMA app;
CREATE TABLE app.a (v text); INSERT INTO app.a SELECT 'v' || g % 20 FROM generate_series(1, 100) g;
CREATE TABLE app.b (v text, n numeric); INSERT INTO app.b SELECT 'v', g % 3 FROM generate_series(1, 100) g;
