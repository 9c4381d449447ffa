ALTER TABLE audit.events ALTER COLUMN details TYPE jsonb USING details::jsonb;
