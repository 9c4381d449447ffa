ALTER TABLE shipping.scans ADD COLUMN kind smallint NOT NULL DEFAULT 1;
UPDATE shipping.scans SET kind = 2 WHERE what IS NULL;
