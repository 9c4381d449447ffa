CREATE SCHEMA app;
CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;
CREATE TYPE app.state AS ENUM ('new', 'paid', 'gone');
CREATE DOMAIN app.amount AS numeric(10,2);
CREATE TABLE app.users (id int PRIMARY KEY, mail text NOT NULL, state app.state NOT NULL DEFAULT 'new', cents int, worth app.amount);
