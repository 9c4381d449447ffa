UPDATE stock.places SET name = initcap(name), kept = coalesce(kept, 'dry');
ALTER TABLE stock.places ALTER COLUMN kept SET DEFAULT 'dry', ALTER COLUMN kept SET NOT NULL;
