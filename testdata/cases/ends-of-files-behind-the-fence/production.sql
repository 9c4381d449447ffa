CREATE SCHEMA app;
CREATE TYPE app.kind AS ENUM ('a', 'b');
CREATE TABLE app.t (id int PRIMARY KEY, n int NOT NULL, kind app.kind NOT NULL DEFAULT 'a', local timestamp, txt text);
