ALTER TABLE metrics.sensors ADD COLUMN first_alarm bigint;
UPDATE metrics.sensors s SET first_alarm = (SELECT a.id FROM metrics.alarms a WHERE a.sensor = s.id ORDER BY a.at NULLS LAST, a.id LIMIT 1);
