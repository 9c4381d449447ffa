CREATE SCHEMA app;
CREATE TABLE app.events (id int PRIMARY KEY, at timestamp NOT NULL, day date, txt text);
CREATE TABLE app.logs (id int PRIMARY KEY, at timestamp, seen timestamptz);
