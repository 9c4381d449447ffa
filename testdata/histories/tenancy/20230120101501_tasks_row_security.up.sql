ALTER TABLE tenancy.tasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY tasks_of_tenant ON tenancy.tasks USING (tenant_id::text = current_setting('tenancy.tenant', true));
