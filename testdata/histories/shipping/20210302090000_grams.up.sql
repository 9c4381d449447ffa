ALTER TABLE shipping.parcels RENAME COLUMN weight TO grams;
ALTER TABLE shipping.parcels ALTER COLUMN grams TYPE bigint USING grams * 1000;
