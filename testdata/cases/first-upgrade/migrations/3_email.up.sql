ALTER TABLE shop.customers RENAME COLUMN mail TO email;
