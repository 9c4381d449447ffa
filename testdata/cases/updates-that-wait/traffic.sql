UPDATE app.snapshots SET made = made + 3 WHERE id % 5 = 0;
INSERT INTO app.snapshots SELECT n, 112, n % 100 FROM generate_series(401, 430) n;
DELETE FROM app.parts WHERE id IN (7, 118);
INSERT INTO app.lines VALUES (1, 113), (3, 112);
UPDATE app.parts SET name = 'Part! ' || id WHERE id % 11 = 0;
UPDATE app.templates SET day = 50 WHERE id = 3;
