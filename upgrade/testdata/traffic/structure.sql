-- What the random clients work on. Their triggers write the same table, delete
-- the row just inserted, and write other tables.
CREATE SCHEMA shop;
CREATE COLLATION shop.blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);

-- the ledger: balances must be the sum of the entries, and each acknowledged
-- commit has one entry
CREATE TABLE shop.account (id int PRIMARY KEY, balance bigint NOT NULL DEFAULT 0, holder text);
CREATE TABLE shop.entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int NOT NULL REFERENCES shop.account, delta bigint NOT NULL, client int NOT NULL, n int NOT NULL, UNIQUE (client, n));

CREATE TABLE shop.item (id int PRIMARY KEY, name text UNIQUE, price int NOT NULL, stock int DEFAULT 0);
CREATE FUNCTION shop.echo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.price % 5 = 0 AND pg_trigger_depth() = 1 THEN UPDATE shop.item SET price = price + 1 WHERE id = NEW.id; END IF;
	IF NEW.price % 11 = 0 THEN DELETE FROM shop.item WHERE id = NEW.id; END IF;
	IF NEW.price % 7 = 0 THEN INSERT INTO shop.log (what, n) VALUES (TG_OP, NEW.price % 4); END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER echo AFTER INSERT OR UPDATE ON shop.item FOR EACH ROW EXECUTE FUNCTION shop.echo();
CREATE FUNCTION shop.trim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.stock := coalesce(NEW.stock, 0) % 100;
	IF NEW.price < 0 THEN RETURN NULL; END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER trim BEFORE INSERT OR UPDATE ON shop.item FOR EACH ROW EXECUTE FUNCTION shop.trim();

CREATE TABLE shop.log (what text, n int, extra text);
CREATE TABLE shop.parent (id int PRIMARY KEY, v int);
CREATE TABLE shop.child (id int PRIMARY KEY, parent int REFERENCES shop.parent ON DELETE CASCADE ON UPDATE CASCADE, v int);
CREATE TABLE shop.grandchild (child int REFERENCES shop.child ON DELETE SET NULL, no int PRIMARY KEY);
CREATE TABLE shop.rank (id int PRIMARY KEY, place int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED, seat int UNIQUE);
ALTER TABLE shop.rank CLUSTER ON rank_pkey;
CREATE TABLE shop.late (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v int);
CREATE TABLE shop.person (name text COLLATE shop.blind PRIMARY KEY, v int);
CREATE TABLE shop.wide (id int PRIMARY KEY, body text, doc jsonb);
CREATE TABLE shop.booking (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&));

CREATE TABLE shop.part (region text NOT NULL, id int NOT NULL, v int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE shop.part_eu PARTITION OF shop.part FOR VALUES IN ('eu') PARTITION BY RANGE (id);
CREATE TABLE shop.part_eu_low PARTITION OF shop.part_eu FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE shop.part_eu_high PARTITION OF shop.part_eu FOR VALUES FROM (100) TO (MAXVALUE);
CREATE TABLE shop.part_rest PARTITION OF shop.part DEFAULT;

CREATE TABLE shop.thing (id int PRIMARY KEY, v int);
CREATE TABLE shop.car (wheels int, PRIMARY KEY (id)) INHERITS (shop.thing);
CREATE TABLE shop.truck (load int, PRIMARY KEY (id)) INHERITS (shop.car);
