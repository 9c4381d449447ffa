CREATE SCHEMA metrics;
CREATE TABLE metrics.sensors (id serial PRIMARY KEY, place text NOT NULL, scale real NOT NULL DEFAULT 1, unit text);
CREATE TABLE metrics.points (sensor int NOT NULL REFERENCES metrics.sensors ON DELETE CASCADE, at timestamp NOT NULL, value double precision, PRIMARY KEY (sensor, at));
CREATE TABLE metrics.alarms (id serial PRIMARY KEY, sensor int REFERENCES metrics.sensors, level text, seen boolean, at timestamp);
CREATE TABLE metrics.days (sensor int NOT NULL, day date NOT NULL, total numeric, PRIMARY KEY (sensor, day));
CREATE INDEX alarms_sensor ON metrics.alarms (sensor);
