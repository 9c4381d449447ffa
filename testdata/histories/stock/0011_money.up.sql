CREATE TYPE stock.money AS (amount bigint, currency text);
ALTER TABLE stock.items ADD COLUMN cost stock.money;
UPDATE stock.items SET cost = ROW((price * 100)::bigint, 'CHF')::stock.money WHERE price IS NOT NULL;
