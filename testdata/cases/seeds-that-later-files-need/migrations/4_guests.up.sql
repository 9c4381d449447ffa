UPDATE app.users SET role_id = (SELECT id FROM app.roles WHERE name = 'guest') WHERE id % 5 = 0;
INSERT INTO app.settings VALUES ('guests', (SELECT count(*) FROM app.users u JOIN app.roles r ON r.id = u.role_id WHERE r.name = 'guest'));
