UPDATE app.base SET a = a + 1000;
UPDATE ONLY app.base SET b = b || '!';
UPDATE app.child SET c = a;
