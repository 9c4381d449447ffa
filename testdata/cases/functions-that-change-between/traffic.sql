UPDATE app.t SET a = 'Changed', b = 'Changed' WHERE id = 3;
INSERT INTO app.t VALUES (99, 'Late', NULL, 'Late', 'Late', NULL);
DELETE FROM app.t WHERE id = 4;
