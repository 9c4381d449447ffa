INSERT INTO app.crew SELECT g, g FROM generate_series(1, 50) g;
INSERT INTO app.shift SELECT g, g, 1 FROM generate_series(1, 50) g;
