CREATE SCHEMA app;
CREATE TABLE app.tenants (id int PRIMARY KEY, name text NOT NULL, trial boolean NOT NULL DEFAULT false);
CREATE TABLE app.members (id bigserial PRIMARY KEY, tenant int REFERENCES app.tenants ON DELETE CASCADE, boss bigint REFERENCES app.members ON DELETE SET NULL, login text UNIQUE);
CREATE TABLE app.sessions (token uuid PRIMARY KEY, member bigint NOT NULL REFERENCES app.members ON DELETE CASCADE, seen timestamptz);
CREATE TABLE app.invoices (id int PRIMARY KEY, tenant int DEFAULT 1 REFERENCES app.tenants ON DELETE SET DEFAULT, by_member bigint REFERENCES app.members ON DELETE SET NULL, cents bigint NOT NULL);
CREATE TABLE app.notes (id int PRIMARY KEY, tenant int NOT NULL REFERENCES app.tenants, invoice int, text text);
CREATE INDEX ON app.members (tenant);
CREATE INDEX ON app.sessions (member);
CREATE INDEX ON app.invoices (tenant);
