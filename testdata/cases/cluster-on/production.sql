CREATE SCHEMA app;
CREATE TABLE app.a (id int PRIMARY KEY, day date, v text); CREATE INDEX a_day ON app.a (day); ALTER TABLE app.a CLUSTER ON a_day;
CREATE TABLE app.b (id int PRIMARY KEY, v text); ALTER TABLE app.b CLUSTER ON b_pkey;
CREATE TABLE app.c (id int PRIMARY KEY, v text); ALTER TABLE app.c REPLICA IDENTITY FULL; ALTER TABLE app.c ALTER v SET STATISTICS 500, ALTER v SET STORAGE EXTERNAL;
CREATE TABLE app.d (id int PRIMARY KEY, v text NOT NULL UNIQUE) WITH (fillfactor = 70, autovacuum_enabled = off); ALTER TABLE app.d REPLICA IDENTITY USING INDEX d_v_key; ALTER TABLE app.d CLUSTER ON d_v_key;
INSERT INTO app.a SELECT g, date '2024-01-01' + g, 'v' FROM generate_series(1, 100) g;
INSERT INTO app.b SELECT g, 'v' FROM generate_series(1, 100) g;
