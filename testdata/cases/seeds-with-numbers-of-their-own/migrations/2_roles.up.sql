INSERT INTO app.roles (id, name) VALUES (10, 'auditor'), (11, 'guest');
SELECT setval('app.roles_id_seq', (SELECT max(id) FROM app.roles));
