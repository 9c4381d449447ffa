UPDATE app.places SET code = 'Moved' WHERE id = 3; INSERT INTO app.places VALUES (99, 'Late', NULL, NULL);
INSERT INTO app.visits VALUES (99, 'Late', 1); UPDATE app.visits SET place = 'P5' WHERE id = 7;
