CREATE SCHEMA app;
CREATE TABLE app.x (id int PRIMARY KEY, a int, b text, c int);
CREATE TABLE app.y (id int PRIMARY KEY, a text, x int REFERENCES app.x);
CREATE TABLE app.z (id int PRIMARY KEY, v text);
CREATE SEQUENCE app.numbers;
CREATE TABLE app.w (id int PRIMARY KEY, v int DEFAULT nextval('app.numbers'));
