ALTER TABLE shop.odd ALTER COLUMN num TYPE numeric(7,1), ALTER COLUMN c6 TYPE varchar(7), ALTER COLUMN ts TYPE timestamptz(0);
ALTER TABLE shop.by_key ADD COLUMN w text; UPDATE shop.by_key SET w = e::text || k; ALTER TABLE shop.loose ADD COLUMN n int DEFAULT 7;
