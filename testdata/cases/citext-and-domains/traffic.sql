UPDATE app.users SET mail = 'ADMIN@x.org', state = 'gone' WHERE id = 3;
INSERT INTO app.users VALUES (99, 'Late@X.ORG', 'paid', 10, 2.5);
DELETE FROM app.users WHERE id = 4;
