DROP VIEW shop.open_orders;
ALTER TABLE shop.orders ALTER COLUMN id TYPE bigint;
ALTER TABLE shop.order_lines ALTER COLUMN order_id TYPE bigint;
