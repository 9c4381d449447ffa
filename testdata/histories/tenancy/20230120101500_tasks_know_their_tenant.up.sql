ALTER TABLE tenancy.tasks ADD tenant_id uuid;
UPDATE tenancy.tasks t SET tenant_id = p.tenant_id FROM tenancy.projects p WHERE p.id = t.project_id;
ALTER TABLE tenancy.tasks ALTER tenant_id SET NOT NULL;
CREATE INDEX tasks_tenant ON tenancy.tasks (tenant_id);
