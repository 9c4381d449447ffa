DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname='case far bot') THEN CREATE ROLE "case far bot" LOGIN CREATEDB; END IF; END $$;
GRANT pg_read_all_stats TO "case far bot"; GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts() TO "case far bot";
ALTER ROLE "case far bot" SET intervalstyle = 'iso_8601';
