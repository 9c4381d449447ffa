ALTER TABLE metrics.sensors ADD COLUMN points bigint NOT NULL DEFAULT 0, ADD COLUMN peak numeric;
UPDATE metrics.sensors s SET points = p.n, peak = p.peak FROM (SELECT sensor, count(*) AS n, max(value) AS peak FROM metrics.points GROUP BY sensor) p WHERE p.sensor = s.id;
