CREATE POLICY readers ON prog.settings FOR SELECT TO zoo_reader USING (key NOT LIKE 'secret%');
ALTER TABLE prog.settings ENABLE ROW LEVEL SECURITY;
GRANT DELETE ON prog.log TO zoo_writer;
REVOKE TRUNCATE ON prog.accounts FROM zoo_writer;
ALTER TABLE prog.log OWNER TO zoo_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA prog GRANT INSERT ON TABLES TO zoo_writer;
CREATE TABLE prog.fresh_table (id int PRIMARY KEY);
COMMENT ON TABLE prog.log IS 'log';
COMMENT ON COLUMN prog.settings.key IS NULL;
