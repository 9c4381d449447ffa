CREATE SCHEMA app;
CREATE TABLE app.t (id int PRIMARY KEY, n int NOT NULL, local timestamp, txt text);
