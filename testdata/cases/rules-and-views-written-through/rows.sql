INSERT INTO app.base SELECT g, g, 'b' || g, g % 4 = 0 FROM generate_series(1, 30) g;
INSERT INTO app.still SELECT g, g FROM generate_series(1, 10) g;
INSERT INTO app.gone SELECT g, g FROM generate_series(1, 20) g;
