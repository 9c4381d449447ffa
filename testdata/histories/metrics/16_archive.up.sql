CREATE TABLE metrics.old_alarms AS SELECT * FROM metrics.alarms WHERE seen;
DELETE FROM metrics.alarms WHERE seen;
