ALTER TABLE metrics.alarms ADD COLUMN hall text;
UPDATE metrics.alarms a SET hall = s.hall FROM metrics.sensors s WHERE s.id = a.sensor;
