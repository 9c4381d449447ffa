INSERT INTO app.codes VALUES (40, 'xy', 'fr', 'new'), (41, '', '', '');
UPDATE app.codes SET code = 'a', land = 'abcd' WHERE id = 7;
