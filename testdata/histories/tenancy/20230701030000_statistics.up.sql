CREATE MATERIALIZED VIEW tenancy.sizes AS SELECT tenant_id, count(*) AS projects, sum(budget) AS budget FROM tenancy.projects GROUP BY tenant_id;
CREATE UNIQUE INDEX sizes_tenant ON tenancy.sizes (tenant_id);
CREATE STATISTICS tenancy.tasks_state_tenant ON state, tenant_id FROM tenancy.tasks;
