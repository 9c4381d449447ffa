CREATE POLICY readers ON prog.settings FOR SELECT TO prog_reader USING (key NOT LIKE 'secret%');
ALTER TABLE prog.settings ENABLE ROW LEVEL SECURITY;
GRANT DELETE ON prog.log TO prog_writer;
REVOKE TRUNCATE ON prog.accounts FROM prog_writer;
ALTER TABLE prog.log OWNER TO prog_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA prog GRANT INSERT ON TABLES TO prog_writer;
CREATE TABLE prog.fresh_table (id int PRIMARY KEY);
COMMENT ON TABLE prog.log IS 'log';
COMMENT ON COLUMN prog.settings.key IS NULL;
