DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'case odd "r"
\ $$ ''') THEN CREATE ROLE "case odd ""r""
\ $$ '"; END IF; END $do$;
