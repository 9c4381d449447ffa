UPDATE app.t SET v = 'b' WHERE id % 3 = 0;
