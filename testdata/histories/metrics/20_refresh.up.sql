REFRESH MATERIALIZED VIEW metrics.halls;
ALTER TABLE metrics.sensors DROP COLUMN place;
