DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'public_reader') THEN CREATE ROLE public_reader; END IF; END $$;
