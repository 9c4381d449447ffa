INSERT INTO app.roles (name) VALUES ('auditor'), ('guest') ON CONFLICT (name) DO NOTHING;
ALTER TABLE app.users ADD COLUMN active boolean NOT NULL DEFAULT true;
