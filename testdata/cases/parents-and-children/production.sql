CREATE SCHEMA app;
CREATE TABLE app.base (id int PRIMARY KEY, a int, b text);
CREATE TABLE app.child (c int, PRIMARY KEY (id)) INHERITS (app.base);
CREATE TABLE app.second (d int, PRIMARY KEY (id)) INHERITS (app.base);
