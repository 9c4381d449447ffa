UPDATE app.reads SET note = 'seen', v = v + 1 WHERE id % 7 = 0;
