INSERT INTO app.events (id, at, kind, note) SELECT id, at, kind, note FROM app.events_old;
ALTER SEQUENCE app.events_id_seq OWNED BY app.events.id;
DROP TABLE app.events_old;
ALTER TABLE app.keys RENAME TO keys_old;
CREATE TABLE app.keys (id int PRIMARY KEY, name text) PARTITION BY HASH (id);
CREATE TABLE app.keys_0 PARTITION OF app.keys FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.keys_1 PARTITION OF app.keys FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO app.keys SELECT * FROM app.keys_old;
DROP TABLE app.keys_old;
