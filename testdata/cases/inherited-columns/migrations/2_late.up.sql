ALTER TABLE shop.base ADD COLUMN last int DEFAULT 7; ALTER TABLE shop.grand ADD COLUMN its date; ALTER TABLE shop.child ADD COLUMN end_of text;
