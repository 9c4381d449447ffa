ALTER TABLE metrics.points ALTER COLUMN sensor TYPE bigint;
ALTER TABLE metrics.alarms ALTER COLUMN sensor TYPE bigint, ALTER COLUMN id TYPE bigint;
ALTER TABLE metrics.sensors ALTER COLUMN id TYPE bigint;
