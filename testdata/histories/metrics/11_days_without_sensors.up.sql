DELETE FROM metrics.days d WHERE NOT EXISTS (SELECT FROM metrics.sensors s WHERE s.id = d.sensor);
ALTER TABLE metrics.days ADD FOREIGN KEY (sensor) REFERENCES metrics.sensors ON DELETE CASCADE;
