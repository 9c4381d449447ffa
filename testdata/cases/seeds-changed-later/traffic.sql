-- What a seed would put there, a client has put there first; numbers are drawn, and the role that a seed asks for is another one.
INSERT INTO app.roles (name, scope, made_at) VALUES ('auditor', 'all', '2021-01-01');
BEGIN; INSERT INTO app.roles (name) VALUES ('never'); ROLLBACK;
UPDATE app.permissions SET word = 'see' WHERE word = 'read';
INSERT INTO app.permissions (word) VALUES ('read');
INSERT INTO app.settings VALUES ('limit', '7');
DELETE FROM app.role_permissions WHERE role_id = 2;
UPDATE app.users SET mail = mail || '.net' WHERE id % 7 = 0;
