UPDATE metrics.alarms SET seen = false WHERE seen IS NULL;
ALTER TABLE metrics.alarms ALTER COLUMN seen SET DEFAULT false, ALTER COLUMN seen SET NOT NULL;
