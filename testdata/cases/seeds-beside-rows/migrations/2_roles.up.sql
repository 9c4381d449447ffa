-- Which of them are there is production's to say.
INSERT INTO app.roles (name, scope) VALUES ('auditor', 'own'), ('guest', 'own') ON CONFLICT (name) DO NOTHING;
INSERT INTO app.permissions (word) VALUES ('audit'), ('read') ON CONFLICT DO NOTHING;
ALTER TABLE app.roles ADD COLUMN level int NOT NULL DEFAULT 1, ADD COLUMN note text;
