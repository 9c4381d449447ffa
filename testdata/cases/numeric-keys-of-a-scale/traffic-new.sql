UPDATE app.rate SET v = 'w' WHERE k = 1.5;
