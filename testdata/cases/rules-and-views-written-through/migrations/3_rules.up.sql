UPDATE app.still SET a = a + 100;
DELETE FROM app.gone WHERE id % 2 = 0;
