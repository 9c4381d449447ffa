ALTER TABLE shop.customers ADD COLUMN first text;
UPDATE shop.customers SET first = split_part(name, ' ', 1);
ALTER TABLE shop.customers ALTER COLUMN first SET NOT NULL;
