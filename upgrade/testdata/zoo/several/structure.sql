-- Three schemas that refer to each other, and one that stays.
CREATE SCHEMA base; CREATE SCHEMA sales; CREATE SCHEMA "Report"; CREATE SCHEMA apart;
CREATE TABLE apart.kept (id int PRIMARY KEY, v text);
CREATE TYPE base.unit AS ENUM ('kg', 'piece');
CREATE DOMAIN base.sku AS text CHECK (VALUE ~ '^[A-Z]');
CREATE FUNCTION base.vat(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT round($1 * 1.2, 2) $$;
CREATE SEQUENCE base.numbers;
CREATE TABLE base.items (sku base.sku PRIMARY KEY, unit base.unit NOT NULL, price numeric(10,2));
CREATE TABLE sales.items (id int PRIMARY KEY DEFAULT nextval('base.numbers'), sku base.sku NOT NULL REFERENCES base.items ON UPDATE CASCADE, unit base.unit, gross numeric GENERATED ALWAYS AS (base.vat(10)) STORED);
CREATE TABLE "Report".daily (day date PRIMARY KEY, sku base.sku REFERENCES base.items, n int);
CREATE TABLE base.last_sale (sku base.sku PRIMARY KEY, sale int REFERENCES sales.items DEFERRABLE INITIALLY DEFERRED);
CREATE VIEW "Report".sold AS SELECT s.id, i.price FROM sales.items s JOIN base.items i USING (sku);
CREATE MATERIALIZED VIEW "Report".sums AS SELECT count(*) AS n, sum(price) AS total FROM "Report".sold;
CREATE FUNCTION sales.on_sale() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO base.last_sale VALUES (NEW.sku, NEW.id) ON CONFLICT (sku) DO UPDATE SET sale = excluded.sale; RETURN NULL; END $$;
CREATE TRIGGER on_sale AFTER INSERT ON sales.items FOR EACH ROW EXECUTE FUNCTION sales.on_sale();
