DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'prog_owner') THEN CREATE ROLE prog_owner; CREATE ROLE prog_reader; CREATE ROLE prog_writer; END IF; END $$;
