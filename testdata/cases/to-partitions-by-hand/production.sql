CREATE SCHEMA app;
CREATE TABLE app.events (id bigserial PRIMARY KEY, at date NOT NULL, kind text NOT NULL DEFAULT 'x', note text);
CREATE INDEX events_at ON app.events (at);
CREATE TABLE app.keys (id int PRIMARY KEY, name text);
