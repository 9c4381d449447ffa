INSERT INTO app.nodes SELECT n, 'e' || n % 25 FROM generate_series(121, 140) n;
UPDATE app.nodes SET eui = 'e77' WHERE id % 17 = 0;
DELETE FROM app.nodes WHERE id IN (4, 119);
INSERT INTO app.scripts SELECT nextval('app.scripts_seq'), 'later' FROM generate_series(1, 3);
INSERT INTO app.lines VALUES (201, 'one more');
