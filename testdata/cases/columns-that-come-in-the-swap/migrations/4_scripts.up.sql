INSERT INTO app.scripts (id, text) VALUES (nextval('app.scripts_seq'), 'new');
INSERT INTO app.steps (script, stands) VALUES ((SELECT last_value FROM app.scripts_seq), (SELECT last_value FROM app.untouched_seq));
CREATE TABLE IF NOT EXISTS app.flags (name text PRIMARY KEY, value text NOT NULL);
INSERT INTO app.flags (name, value) SELECT 'b', 'text' WHERE NOT EXISTS (SELECT 1 FROM app.flags WHERE name = 'b');
ALTER TABLE app.flags ALTER COLUMN value SET DEFAULT 'y';
INSERT INTO app.flags (name) VALUES ('c');
