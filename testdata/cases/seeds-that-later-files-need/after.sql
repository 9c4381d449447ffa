SELECT r.id, r.label FROM app.roles r ORDER BY r.id;
SELECT * FROM app.settings ORDER BY key;
SELECT role_id, count(*) FROM app.users GROUP BY 1 ORDER BY 1;
