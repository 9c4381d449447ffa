CREATE SCHEMA app;
CREATE TABLE app.countries (code text PRIMARY KEY, name text NOT NULL, region int);
CREATE TABLE app.teams (id int PRIMARY KEY, name text NOT NULL, country text, lead int);
CREATE TABLE app.users (id bigserial PRIMARY KEY, email text, team int, login text UNIQUE, karma numeric(8,2) NOT NULL DEFAULT 0);
CREATE TABLE app.posts (id int PRIMARY KEY, author bigint, title text, state text NOT NULL DEFAULT 'draft', at timestamptz);
CREATE TABLE app.votes (post int, voter bigint, worth int NOT NULL, PRIMARY KEY (post, voter));
CREATE TABLE app.labels (a int, b int, text text, UNIQUE (a, b));
CREATE INDEX ON app.posts (author);
