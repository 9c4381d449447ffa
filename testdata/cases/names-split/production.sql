CREATE SCHEMA app;
CREATE TABLE app.people (id int PRIMARY KEY, name text NOT NULL, code char(6), short varchar(4), amount int, rate real, big bigint);
CREATE UNIQUE INDEX ON app.people (lower(name), id);
