UPDATE app.owners SET name = name || '!' WHERE id % 5 = 0;
UPDATE app.owners SET id = 32 WHERE id = 31 - 1;
INSERT INTO app.owners VALUES (31, 'late');
DELETE FROM app.owners WHERE id = 7;
UPDATE app.things SET owner = 31, weight = 9 WHERE id IN (1, 2, 3);
DELETE FROM app.things WHERE id = 50;
INSERT INTO app.things (owner, kind) VALUES (31, 'new'), (7, 'lost');
