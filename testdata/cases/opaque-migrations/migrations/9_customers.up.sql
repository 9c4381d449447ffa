DELETE FROM shop.customers c USING keep k WHERE k.id = c.id AND NOT EXISTS (SELECT FROM shop.orders o WHERE o.customer_id = c.id);
DROP TABLE keep;
