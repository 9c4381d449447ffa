CREATE TABLE tenancy.quotas (tenant_id uuid PRIMARY KEY REFERENCES tenancy.tenants ON DELETE CASCADE, seats int NOT NULL, plan text NOT NULL DEFAULT 'basic');
INSERT INTO tenancy.quotas (tenant_id, seats) SELECT t.id, 5 + (SELECT count(*) FROM tenancy.members m WHERE m.tenant_id = t.id) FROM tenancy.tenants t;
UPDATE tenancy.quotas q SET plan = 'trial' FROM tenancy.tenants t WHERE t.id = q.tenant_id AND t.trial;
