INSERT INTO app.t SELECT g, CASE WHEN g % 3 > 0 THEN g END, 'b' || g FROM generate_series(1, 30) g;
INSERT INTO app.u SELECT g, g FROM generate_series(1, 10) g;
