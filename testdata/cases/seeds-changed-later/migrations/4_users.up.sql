ALTER TABLE app.users ADD COLUMN active boolean NOT NULL DEFAULT true;
CREATE INDEX ON app.roles (level);
CREATE TABLE app.teams (id serial PRIMARY KEY, role_id int REFERENCES app.roles, name text NOT NULL);
