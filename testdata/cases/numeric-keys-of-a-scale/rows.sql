INSERT INTO app.rate VALUES (1.5, 'a'), (2, 'b'), (3.000000, 'c'), ('NaN', 'd');
INSERT INTO app.cell SELECT n / 4.0, n, 'c' FROM generate_series(1, 8) n;
