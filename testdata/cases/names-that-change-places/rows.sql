INSERT INTO app.x SELECT g, g * 2, 'b' || g, g * 3 FROM generate_series(1, 20) g;
INSERT INTO app.y SELECT g, 'a' || g, g FROM generate_series(1, 20) g;
INSERT INTO app.z SELECT g, 'z' || g FROM generate_series(1, 20) g;
INSERT INTO app.w SELECT g FROM generate_series(1, 20) g;
