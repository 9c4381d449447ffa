INSERT INTO app.settings (key, value) VALUES ('limit', '10'), ('theme', 'light') ON CONFLICT (key) DO UPDATE SET value = excluded.value || '!';
INSERT INTO app.permissions (word) VALUES ('audit');
UPDATE app.users SET role_id = (SELECT id FROM app.roles WHERE name = 'guest') WHERE id % 5 = 0;
INSERT INTO app.role_permissions SELECT r.id, p.id FROM app.roles r, app.permissions p WHERE r.main AND p.word <> 'read' ON CONFLICT DO NOTHING;
DELETE FROM app.role_permissions WHERE role_id IN (SELECT id FROM app.roles WHERE level IS NULL AND NOT main);
