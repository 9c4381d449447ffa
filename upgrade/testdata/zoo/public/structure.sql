-- Everything in public, beside extensions and the version table.
CREATE EXTENSION citext SCHEMA public;
CREATE EXTENSION pg_trgm SCHEMA public;
CREATE EXTENSION btree_gist SCHEMA public;
CREATE EXTENSION hstore SCHEMA public;
CREATE TYPE state AS ENUM ('on', 'off');
CREATE DOMAIN nick AS citext CHECK (VALUE <> '');
CREATE TABLE users (id serial PRIMARY KEY, mail citext NOT NULL UNIQUE, nick nick, tags hstore, state state NOT NULL DEFAULT 'on');
CREATE TABLE posts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, author int NOT NULL REFERENCES users ON DELETE CASCADE, title text, span tstzrange);
CREATE TABLE by_citext (id citext PRIMARY KEY, v text);
CREATE TABLE booking (room int, during tstzrange, EXCLUDE USING gist (room WITH =, during WITH &&));
CREATE INDEX posts_title ON posts USING gin (title gin_trgm_ops);
CREATE VIEW active AS SELECT u.id, u.mail, count(p.*) AS posts FROM users u LEFT JOIN posts p ON p.author = u.id WHERE u.state = 'on' GROUP BY u.id;
CREATE MATERIALIZED VIEW similar_titles AS SELECT a.id, similarity(a.title, 'title 1') AS s FROM posts a;
CREATE FUNCTION by_mail(m citext) RETURNS int LANGUAGE sql STABLE AS $$ SELECT id FROM users WHERE mail = m $$;
CREATE SEQUENCE free;
GRANT SELECT ON users TO zoo_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO zoo_reader;
COMMENT ON SCHEMA public IS 'ours';
