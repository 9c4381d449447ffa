DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname='case_forger') THEN CREATE ROLE case_forger LOGIN; END IF; END $$;
