UPDATE app.shown SET b = b || '!', a = a * 2;
DELETE FROM app.shown WHERE a > 50;
