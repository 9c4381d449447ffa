CREATE SCHEMA trees;
CREATE TABLE trees.events (id bigint NOT NULL, at date NOT NULL, kind text, body text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE trees.events_2023 PARTITION OF trees.events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') WITH (fillfactor = 90);
CREATE TABLE trees.events_2024 PARTITION OF trees.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY RANGE (id);
CREATE TABLE trees.events_2024_low PARTITION OF trees.events_2024 FOR VALUES FROM (MINVALUE) TO (400);
-- columns in another order, attached
CREATE TABLE trees.events_2024_rest (body text, kind text, gone int, at date NOT NULL, id bigint NOT NULL);
ALTER TABLE trees.events_2024_rest DROP COLUMN gone;
ALTER TABLE trees.events_2024 ATTACH PARTITION trees.events_2024_rest DEFAULT;
CREATE TABLE trees.events_other PARTITION OF trees.events DEFAULT;
CREATE INDEX events_kind ON trees.events (kind);
CREATE INDEX only_here ON trees.events_2023 (body);
ALTER TABLE trees.events_2023 ADD CONSTRAINT local_check CHECK (id > 0);
ALTER TABLE trees.events_2023 ALTER COLUMN body SET DEFAULT 'of 2023';
CREATE TABLE trees.hashed (id int PRIMARY KEY, v text) PARTITION BY HASH (id);
CREATE TABLE trees.hashed_0 PARTITION OF trees.hashed FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE trees.hashed_1 PARTITION OF trees.hashed FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE trees.hashed_2 PARTITION OF trees.hashed FOR VALUES WITH (MODULUS 3, REMAINDER 2);
CREATE TABLE trees.keyless (at date, v text) PARTITION BY RANGE (at);
CREATE TABLE trees.keyless_all PARTITION OF trees.keyless DEFAULT;
CREATE TABLE trees.refers (id int PRIMARY KEY, hashed int REFERENCES trees.hashed ON DELETE CASCADE);
CREATE TABLE trees.empty_tree (id int) PARTITION BY LIST (id);

CREATE TABLE trees.things (id int PRIMARY KEY, name text DEFAULT 'thing', CHECK (id > 0));
CREATE TABLE trees.cars (wheels int NOT NULL DEFAULT 4, PRIMARY KEY (id)) INHERITS (trees.things);
CREATE TABLE trees.trucks (load numeric) INHERITS (trees.cars);
CREATE TABLE trees.painted (id int PRIMARY KEY, colour text);
CREATE TABLE trees.painted_cars (extra int, PRIMARY KEY (id)) INHERITS (trees.cars, trees.painted);
ALTER TABLE trees.trucks ALTER COLUMN wheels SET DEFAULT 6;
ALTER TABLE trees.trucks ADD PRIMARY KEY (id);

CREATE UNLOGGED TABLE trees.cache (key text PRIMARY KEY, value text);
CREATE TABLE trees.plain (id int NOT NULL, at date NOT NULL, v text, PRIMARY KEY (id));
CREATE TABLE trees.plain_list (id int, kind text NOT NULL, v text, PRIMARY KEY (id, kind));
