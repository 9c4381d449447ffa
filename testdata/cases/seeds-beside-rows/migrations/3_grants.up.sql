BEGIN;
INSERT INTO app.role_permissions (role_id, permission_id)
SELECT r.id, p.id FROM app.roles r, app.permissions p
WHERE r.name IN ('auditor', 'guest') AND p.word = 'read'
  AND NOT EXISTS (SELECT * FROM app.role_permissions x WHERE x.role_id = r.id AND x.permission_id = p.id);
COMMIT;
INSERT INTO app.settings (key, value) SELECT 'limit', '10' WHERE NOT EXISTS (SELECT 1 FROM app.settings WHERE key = 'limit');
INSERT INTO app.settings VALUES ('colour', DEFAULT), ('size', lower('BIG'));
