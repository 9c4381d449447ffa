CREATE SCHEMA app;
CREATE TABLE app.users (id bigint PRIMARY KEY, email text, hash text NOT NULL, plan int);
CREATE TABLE app.plans (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE app.tokens (id int PRIMARY KEY, owner bigint, used bigint, dead boolean NOT NULL DEFAULT false);
CREATE INDEX ON app.tokens (owner);
CREATE INDEX ON app.users (plan);
