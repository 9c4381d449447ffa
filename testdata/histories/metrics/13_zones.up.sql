ALTER TABLE metrics.points ALTER COLUMN at TYPE timestamptz USING at AT TIME ZONE 'UTC';
