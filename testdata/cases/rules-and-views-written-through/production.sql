CREATE SCHEMA app;
CREATE TABLE app.base (id int PRIMARY KEY, a int, b text, hidden boolean NOT NULL DEFAULT false);
CREATE VIEW app.shown AS SELECT id, a, b FROM app.base WHERE NOT hidden;
CREATE TABLE app.still (id int PRIMARY KEY, a int);
CREATE RULE nothing AS ON UPDATE TO app.still DO INSTEAD NOTHING;
CREATE TABLE app.gone (id int PRIMARY KEY, a int);
CREATE RULE kept AS ON DELETE TO app.gone WHERE OLD.a > 10 DO INSTEAD UPDATE app.gone SET a = -a WHERE id = OLD.id;
