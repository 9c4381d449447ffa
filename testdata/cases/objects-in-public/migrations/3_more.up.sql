CREATE TABLE public.flags (id int PRIMARY KEY, name citext);
INSERT INTO flags VALUES (1, 'One'), (2, 'Two');
ALTER TABLE by_citext ADD COLUMN w int DEFAULT 4;
CREATE INDEX users_nick ON users USING gist ((nick::text) gist_trgm_ops);
ALTER TYPE state ADD VALUE 'paused';
