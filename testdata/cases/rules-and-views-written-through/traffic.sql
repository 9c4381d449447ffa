UPDATE app.base SET hidden = true WHERE id = 3;
INSERT INTO app.base VALUES (99, 9, 'late', false);
INSERT INTO app.gone VALUES (99, 3), (98, 30);
