CREATE SCHEMA tenancy_core;
ALTER TABLE tenancy.quotas SET SCHEMA tenancy_core;
