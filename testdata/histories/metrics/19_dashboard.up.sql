CREATE VIEW metrics.latest AS SELECT DISTINCT ON (sensor) sensor, at, value FROM metrics.points ORDER BY sensor, at DESC;
