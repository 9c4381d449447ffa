INSERT INTO app.roles (name) VALUES ('auditor'), ('guest') ON CONFLICT (name) DO NOTHING;
ALTER TABLE app.roles ADD COLUMN level int, ADD COLUMN main boolean NOT NULL DEFAULT false;
UPDATE app.roles SET level = id * 10 WHERE name IN ('guest', 'auditor');
UPDATE app.roles SET main = false;
INSERT INTO app.roles (id, name, main) VALUES (nextval('app.roles_id_seq'), 'owner', true);
