ALTER TABLE tenancy.audit ADD seen boolean NOT NULL DEFAULT false, ALTER what TYPE varchar(4000);
CREATE INDEX audit_at ON tenancy.audit USING brin (at);
