INSERT INTO app.plans SELECT i, 'Plan ' || i FROM generate_series(1, 9) i;
INSERT INTO app.users SELECT i, CASE WHEN i % 3 > 0 THEN 'u' || i || '@x.org' END, 'h' || i % 7, nullif(i % 13, 0) FROM generate_series(1, 90) i;
INSERT INTO app.tokens SELECT i, nullif(i % 70, 0), nullif(i % 11, 0) * 100, i % 4 = 0 FROM generate_series(1, 300) i;
