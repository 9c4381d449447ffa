DROP MATERIALIZED VIEW "Report".sums;
DROP VIEW "Report".sold;
ALTER TABLE sales.items ALTER COLUMN id TYPE bigint;
CREATE VIEW "Report".sold AS SELECT s.id, i.price FROM sales.items s JOIN base.items i USING (sku);
ALTER TABLE base.last_sale ALTER COLUMN sale TYPE bigint;
ALTER TABLE base.items ADD COLUMN gross numeric;
UPDATE base.items SET gross = base.vat(price);
ALTER TABLE sales.items RENAME COLUMN unit TO sold_by;
