CREATE SCHEMA app;
CREATE SEQUENCE app.numbers;
CREATE TABLE app.chart (id int PRIMARY KEY DEFAULT nextval('app.numbers'), name text);
