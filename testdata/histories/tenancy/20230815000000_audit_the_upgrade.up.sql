DO $$
DECLARE t record;
BEGIN
    FOR t IN SELECT id, slug FROM tenancy.tenants ORDER BY slug LOOP
        INSERT INTO tenancy.audit (at, tenant_id, what, seen) VALUES ('2023-08-15', t.id, 'upgraded ' || t.slug, true);
    END LOOP;
END $$;
