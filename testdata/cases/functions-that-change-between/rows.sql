INSERT INTO app.t SELECT g, 'A' || g, 'B' || g, 'C' || g, 'D' || g, g FROM generate_series(1, 30) g;
