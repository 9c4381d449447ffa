ALTER TABLE shop.customers ADD COLUMN first_name text, ADD COLUMN last_name text;
UPDATE shop.customers SET first_name = split_part(full_name, ' ', 1), last_name = split_part(full_name, ' ', 2);
ALTER TABLE shop.customers ALTER COLUMN first_name SET NOT NULL, ALTER COLUMN last_name SET NOT NULL;
ALTER TABLE shop.customers DROP COLUMN full_name;
