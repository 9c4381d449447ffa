UPDATE app.base SET a = 0 WHERE id IN (3, 103, 203); DELETE FROM app.base WHERE id IN (4, 104);
INSERT INTO app.child VALUES (199, 1, 'late', 1);
