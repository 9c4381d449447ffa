-- Plain until now.
ALTER TABLE trees.plain RENAME TO plain_before;
ALTER TABLE trees.plain_before RENAME CONSTRAINT plain_pkey TO plain_before_pkey;
CREATE TABLE trees.plain (id int NOT NULL, at date NOT NULL, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE trees.plain_early PARTITION OF trees.plain FOR VALUES FROM (MINVALUE) TO ('2024-06-01');
CREATE TABLE trees.plain_late PARTITION OF trees.plain FOR VALUES FROM ('2024-06-01') TO (MAXVALUE);
INSERT INTO trees.plain SELECT id, at, v FROM trees.plain_before;
DROP TABLE trees.plain_before;
CREATE INDEX plain_v ON trees.plain (v);
