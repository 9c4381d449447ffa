-- A table moves from one schema to another.
ALTER TABLE base.last_sale SET SCHEMA sales;
CREATE OR REPLACE FUNCTION sales.on_sale() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO sales.last_sale VALUES (NEW.sku, NEW.id) ON CONFLICT (sku) DO UPDATE SET sale = excluded.sale; RETURN NULL; END $$;
CREATE TABLE "Report".monthly (month date PRIMARY KEY, n bigint);
