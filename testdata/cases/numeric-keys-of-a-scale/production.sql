CREATE SCHEMA app;
CREATE TABLE app.rate (k numeric PRIMARY KEY, v text);
CREATE TABLE app.cell (x numeric, y int, v text, PRIMARY KEY (x, y));
