INSERT INTO app.t (grp, took) VALUES (3, '2 hours'); DELETE FROM app.t WHERE id = 11;
