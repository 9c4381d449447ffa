UPDATE tenancy.members m SET role = 'admin'
WHERE EXISTS (SELECT FROM tenancy.projects p WHERE p.tenant_id = m.tenant_id AND p.owner_id = m.user_id);
