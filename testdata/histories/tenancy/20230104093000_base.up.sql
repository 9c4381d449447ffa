CREATE SCHEMA tenancy;
CREATE SCHEMA tenancy_core;
CREATE TYPE tenancy.role AS ENUM ('viewer', 'editor');
CREATE TABLE tenancy.tenants (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), slug varchar(60) NOT NULL UNIQUE, settings jsonb NOT NULL DEFAULT '{}', trial boolean NOT NULL DEFAULT false);
CREATE TABLE tenancy.users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL, full_name text, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE tenancy.members (
    tenant_id uuid NOT NULL REFERENCES tenancy.tenants ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES tenancy.users ON DELETE CASCADE,
    role tenancy.role NOT NULL DEFAULT 'viewer',
    PRIMARY KEY (tenant_id, user_id)
);
CREATE TABLE tenancy.projects (
    id bigserial PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenancy.tenants ON DELETE CASCADE,
    owner_id uuid REFERENCES tenancy.users ON DELETE SET NULL,
    title text NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    budget numeric(12,2)
);
CREATE TABLE tenancy.tasks (
    id bigserial PRIMARY KEY,
    project_id bigint NOT NULL REFERENCES tenancy.projects ON DELETE CASCADE,
    parent_id bigint REFERENCES tenancy.tasks ON DELETE SET NULL,
    state int NOT NULL DEFAULT 0,
    due timestamp,
    body text
);
CREATE TABLE tenancy.audit (at timestamptz NOT NULL, tenant_id uuid, what text NOT NULL);
CREATE INDEX projects_tenant ON tenancy.projects (tenant_id);
CREATE INDEX projects_owner ON tenancy.projects (owner_id);
CREATE INDEX tasks_project ON tenancy.tasks (project_id);
CREATE INDEX tasks_parent ON tenancy.tasks (parent_id);
CREATE INDEX members_user ON tenancy.members (user_id);
