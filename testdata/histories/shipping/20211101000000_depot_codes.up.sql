ALTER TABLE shipping.depots ADD COLUMN code text GENERATED ALWAYS AS (upper(left(name, 3)) || id) STORED;
CREATE UNIQUE INDEX depots_code ON shipping.depots (code);
