CREATE SCHEMA app;
CREATE TABLE app.words (id int PRIMARY KEY, w text COLLATE "en-x-icu", upper boolean);
CREATE TABLE app.queue (id serial PRIMARY KEY, what text);
CREATE TABLE app.parts (id serial PRIMARY KEY, queue int REFERENCES app.queue);
CREATE TABLE app.tens (id serial PRIMARY KEY, n int);
