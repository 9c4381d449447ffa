ALTER TABLE tenancy.members ADD id uuid NOT NULL DEFAULT gen_random_uuid(), ADD UNIQUE (id);
