ALTER TABLE shipping.scans ALTER COLUMN at TYPE timestamp USING at AT TIME ZONE 'UTC';
