-- A new table's first rows, which refer to production's.
INSERT INTO app.teams (role_id, name) VALUES (1, 'first'), ((SELECT id FROM app.roles WHERE name = 'guest'), 'second');
ALTER TABLE app.users ADD COLUMN team int;
