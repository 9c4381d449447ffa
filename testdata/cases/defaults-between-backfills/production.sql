CREATE SCHEMA app;
CREATE TABLE app.t (id int PRIMARY KEY, a int DEFAULT 1, b text);
CREATE TABLE app.u (id int PRIMARY KEY, t int);
