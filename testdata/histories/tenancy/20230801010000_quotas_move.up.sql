ALTER TABLE tenancy.quotas SET SCHEMA tenancy_core;
