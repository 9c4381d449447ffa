UPDATE app.pages SET title = 'Another one' WHERE id = 3;
INSERT INTO app.pages VALUES (99, 'Late', NULL);
DELETE FROM app.pages WHERE id = 4;
