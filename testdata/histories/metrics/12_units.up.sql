CREATE TABLE metrics.units (name text PRIMARY KEY, factor numeric NOT NULL);
INSERT INTO metrics.units VALUES ('m', 1), ('km', 1000), ('cm', 0.01);
UPDATE metrics.sensors SET unit = 'm' WHERE unit IS NULL OR unit NOT IN ('m', 'km', 'cm');
ALTER TABLE metrics.sensors ADD FOREIGN KEY (unit) REFERENCES metrics.units;
