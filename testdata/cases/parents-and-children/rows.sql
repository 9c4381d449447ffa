INSERT INTO app.base SELECT g, g, 'b' || g FROM generate_series(1, 20) g;
INSERT INTO app.child SELECT g, g, 'c' || g, g FROM generate_series(101, 120) g;
INSERT INTO app.second SELECT g, g, 'd' || g, g FROM generate_series(201, 220) g;
