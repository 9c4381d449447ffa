DELETE FROM tenancy.tenants WHERE trial AND NOT EXISTS (SELECT FROM tenancy.members m WHERE m.tenant_id = tenants.id AND m.role = 'admin' LIMIT 1);
ALTER TABLE tenancy.tenants DROP COLUMN trial;
