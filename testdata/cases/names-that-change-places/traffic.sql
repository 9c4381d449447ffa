UPDATE app.x SET a = 77, c = 88 WHERE id = 3;
INSERT INTO app.x VALUES (99, 1, 'late', 2); INSERT INTO app.y VALUES (99, 'late', 99);
DELETE FROM app.z WHERE id = 4; INSERT INTO app.z VALUES (99, 'late'); INSERT INTO app.w VALUES (99);
