ALTER TABLE shop.orders ADD COLUMN currency char(3);
UPDATE shop.orders SET currency = CASE WHEN country = 'CH' THEN 'CHF' ELSE 'EUR' END;
ALTER TABLE shop.orders ALTER COLUMN currency SET DEFAULT 'EUR', ALTER COLUMN currency SET NOT NULL;
CREATE VIEW shop.open_orders AS SELECT id, customer_id, total, currency FROM shop.orders WHERE status <> 'sent';
