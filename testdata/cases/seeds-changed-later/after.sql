SELECT r.id, r.name, r.scope, r.level, r.main FROM app.roles r ORDER BY r.id;
SELECT * FROM app.permissions ORDER BY id;
SELECT r.name, p.word FROM app.role_permissions x JOIN app.roles r ON r.id = x.role_id JOIN app.permissions p ON p.id = x.permission_id ORDER BY 1, 2;
SELECT * FROM app.settings ORDER BY key;
SELECT role_id, count(*), count(*) FILTER (WHERE active), bool_and(mail = lower(mail)) FROM app.users GROUP BY 1 ORDER BY 1;
