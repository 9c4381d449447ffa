INSERT INTO app.t SELECT g, 'a' FROM generate_series(1, 50) g;
