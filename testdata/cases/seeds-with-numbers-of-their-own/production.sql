CREATE SCHEMA app;
CREATE TABLE app.roles (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE app.users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, role_id int NOT NULL REFERENCES app.roles, mail text);
