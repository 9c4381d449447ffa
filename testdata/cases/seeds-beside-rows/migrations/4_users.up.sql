ALTER TABLE app.users ADD COLUMN active boolean NOT NULL DEFAULT true;
UPDATE app.users SET mail = lower(mail);
CREATE INDEX ON app.roles (level);
COMMENT ON TABLE app.roles IS 'who may do what';
CREATE TABLE app.teams (id serial PRIMARY KEY, role_id int REFERENCES app.roles, name text NOT NULL);
