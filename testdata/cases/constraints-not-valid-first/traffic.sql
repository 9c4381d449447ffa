UPDATE app.things SET weight = -3, owner = 24 WHERE id = 33;
DELETE FROM app.owners WHERE id = 20;
INSERT INTO app.things VALUES (99, 23, -9, NULL), (98, NULL, NULL, 'x');
