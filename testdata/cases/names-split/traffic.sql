UPDATE app.people SET name = 'Grace  Hopper', code = 'z' WHERE id = 5;
INSERT INTO app.people VALUES (99, 'Zoe Zed', NULL, NULL, NULL, NULL, NULL);
DELETE FROM app.people WHERE id = 6;
