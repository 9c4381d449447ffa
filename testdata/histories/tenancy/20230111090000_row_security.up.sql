ALTER TABLE tenancy.projects ENABLE ROW LEVEL SECURITY;
CREATE POLICY projects_of_tenant ON tenancy.projects USING (tenant_id::text = current_setting('tenancy.tenant', true));
ALTER TABLE tenancy.members ENABLE ROW LEVEL SECURITY;
CREATE POLICY members_of_tenant ON tenancy.members USING (tenant_id::text = current_setting('tenancy.tenant', true));
