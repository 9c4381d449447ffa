BEGIN; -- alike again by its end
INSERT INTO app.connections (org, resource, kind) VALUES (3, 'r3', 'custom');
UPDATE app.connections SET kind = 'custom' WHERE org = 3 AND resource = 'r3';
COMMIT;
DELETE FROM app.connections WHERE org = 2 AND resource = 'r9';
INSERT INTO app.resources VALUES (900, 3, 'r3'), (901, 3, 'none');
UPDATE app.resources SET name = 'r3', org = 3 WHERE id = 10;
UPDATE app.connections SET org = 6 WHERE org = 5 AND resource = 'r12';
DELETE FROM app.users WHERE id = (SELECT id FROM app.users WHERE org = 4 ORDER BY joined LIMIT 1);
INSERT INTO app.users VALUES ('00000000-0000-0000-0000-000000000001', 5, '2020-01-01'), ('00000000-0000-0000-0000-000000000002', 7, '2020-01-01');
UPDATE app.users SET org = 9 WHERE org = 1;
UPDATE app.users SET joined = '2019-01-01' WHERE id = (SELECT id FROM app.users WHERE org = 2 ORDER BY id LIMIT 1);
INSERT INTO app.workflows VALUES (900, 5), (901, 1);
