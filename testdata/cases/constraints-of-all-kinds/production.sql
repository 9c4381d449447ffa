CREATE SCHEMA rules;
CREATE FUNCTION rules.normal(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(trim($1)) $$;
CREATE TABLE rules.customers (id int PRIMARY KEY, name text NOT NULL, mail text, region int, boss int REFERENCES rules.customers ON DELETE SET NULL,
	CONSTRAINT named CHECK (name <> ''), UNIQUE (mail), UNIQUE (region, name));
CREATE TABLE rules.orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES rules.customers ON DELETE CASCADE ON UPDATE CASCADE,
	placed date NOT NULL, total numeric(10,2) CHECK (total >= 0), state text NOT NULL DEFAULT 'new', note text);
CREATE TABLE rules.lines (order_id int REFERENCES rules.orders ON DELETE CASCADE, no int, sku text, qty int,
	PRIMARY KEY (order_id, no), CONSTRAINT qty_sane CHECK (qty > 0) NO INHERIT);
-- circular, deferrable
CREATE TABLE rules.heads (id int PRIMARY KEY, first_leg int NOT NULL);
CREATE TABLE rules.legs (id int PRIMARY KEY, head int NOT NULL REFERENCES rules.heads DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE rules.heads ADD FOREIGN KEY (first_leg) REFERENCES rules.legs DEFERRABLE INITIALLY IMMEDIATE;
CREATE TABLE rules.parts (a int, b int, c int, UNIQUE (a, b), UNIQUE (c) DEFERRABLE INITIALLY DEFERRED, id int PRIMARY KEY);
CREATE TABLE rules.uses (id int PRIMARY KEY, a int, b int, FOREIGN KEY (a, b) REFERENCES rules.parts (a, b) MATCH FULL ON UPDATE CASCADE);
CREATE TABLE rules.loose (id int PRIMARY KEY, customer int, v int);
CREATE TABLE rules.rooms (id int PRIMARY KEY, room int4range NOT NULL, during tstzrange NOT NULL, cancelled boolean NOT NULL DEFAULT false,
	EXCLUDE USING gist (room WITH &&, during WITH &&) WHERE (NOT cancelled));
CREATE TABLE rules.slots (id int PRIMARY KEY, r int4range, CONSTRAINT no_overlap EXCLUDE USING gist (r WITH &&) DEFERRABLE INITIALLY DEFERRED);
CREATE INDEX ON rules.customers (rules.normal(name));
CREATE INDEX customers_named ON rules.customers (name text_pattern_ops) INCLUDE (mail) WHERE region > 3;
CREATE INDEX ON rules.customers USING hash (mail);
CREATE INDEX ON rules.customers (region DESC NULLS LAST, (name || coalesce(mail, '')) COLLATE "C");
CREATE UNIQUE INDEX ON rules.orders (customer, placed) WHERE state = 'open';
CREATE INDEX orders_placed ON rules.orders USING brin (placed) WITH (pages_per_range = 16);
CREATE INDEX ON rules.orders USING gin (to_tsvector('simple', coalesce(note, '')));
CREATE UNIQUE INDEX lines_sku ON rules.lines (order_id, sku) NULLS NOT DISTINCT;
CREATE INDEX lines_fill ON rules.lines (qty) WITH (fillfactor = 60);
CREATE STATISTICS rules.customer_facts (ndistinct, dependencies, mcv) ON region, name FROM rules.customers;
CREATE STATISTICS rules.expression_facts ON (lower(name)), region FROM rules.customers;
ALTER STATISTICS rules.customer_facts SET STATISTICS 300;
COMMENT ON CONSTRAINT named ON rules.customers IS 'never empty';
COMMENT ON INDEX rules.customers_named IS 'names';
COMMENT ON STATISTICS rules.customer_facts IS 'facts';
ALTER TABLE rules.orders CLUSTER ON orders_pkey;
ALTER TABLE rules.parts REPLICA IDENTITY USING INDEX parts_pkey;
ALTER TABLE rules.loose REPLICA IDENTITY FULL;
