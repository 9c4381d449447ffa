ALTER TABLE shop.orders ADD COLUMN currency text NOT NULL DEFAULT 'EUR';
