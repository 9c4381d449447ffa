CREATE FUNCTION stock.slug(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT trim(BOTH '-' FROM regexp_replace(lower(t), '[^a-z0-9]+', '-', 'g')) $$;
ALTER TABLE stock.items ADD COLUMN slug text;
UPDATE stock.items SET slug = stock.slug(title) || '-' || id;
ALTER TABLE stock.items ALTER COLUMN slug SET NOT NULL;
