INSERT INTO app.t SELECT g, g FROM generate_series(1, 30) g;
