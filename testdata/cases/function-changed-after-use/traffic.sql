UPDATE app.members SET spent = spent + 7 WHERE id % 3 = 0;
