UPDATE app.rate SET k = 2.00000000 WHERE k = 2;
INSERT INTO app.cell VALUES (7.7000000, 1, 'new');
