ALTER TABLE metrics.points ADD PRIMARY KEY (sensor, at);
