ALTER TABLE shop.orders ALTER COLUMN id TYPE bigint;
