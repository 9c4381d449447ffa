CREATE SCHEMA prog AUTHORIZATION prog_owner;
COMMENT ON SCHEMA prog IS 'programs';
GRANT USAGE ON SCHEMA prog TO prog_reader, prog_writer;
ALTER DEFAULT PRIVILEGES IN SCHEMA prog GRANT SELECT ON TABLES TO prog_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE prog_owner IN SCHEMA prog GRANT EXECUTE ON FUNCTIONS TO prog_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE prog_owner IN SCHEMA prog GRANT USAGE ON SEQUENCES TO prog_reader WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES IN SCHEMA prog GRANT USAGE ON TYPES TO prog_writer;

CREATE TABLE prog.accounts (id serial PRIMARY KEY, owner text NOT NULL, balance numeric NOT NULL DEFAULT 0, secret text, updated timestamptz) WITH (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_enabled = false);
ALTER TABLE prog.accounts OWNER TO prog_owner;
CREATE TABLE prog.log (at timestamptz, what text, id int);
CREATE TABLE prog.settings (key text PRIMARY KEY, value jsonb);
REVOKE ALL ON prog.settings FROM prog_reader;
GRANT SELECT (key), UPDATE (value) ON prog.settings TO prog_writer WITH GRANT OPTION;
GRANT SELECT, INSERT, TRUNCATE ON prog.accounts TO prog_writer;
GRANT SELECT ON prog.log TO PUBLIC;
COMMENT ON TABLE prog.accounts IS 'It''s "ours"';
COMMENT ON COLUMN prog.accounts.secret IS E'line\nbreak; -- no comment';
COMMENT ON COLUMN prog.settings.key IS 'key';

CREATE FUNCTION prog.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.updated := timestamptz '2024-01-01 00:00+00';
	RETURN NEW;
END $$;
CREATE FUNCTION prog.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = prog, pg_temp COST 42 AS $body$
BEGIN
	INSERT INTO prog.log VALUES (timestamptz '2024-01-01 00:00+00', TG_OP || ' $$', coalesce(NEW.id, OLD.id));
	RETURN NULL;
END $body$;
CREATE FUNCTION prog.total(min numeric DEFAULT 0, OUT n bigint, OUT s numeric) LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT count(*), sum(balance) FROM prog.accounts WHERE balance >= min $$;
CREATE FUNCTION prog.total(text) RETURNS numeric LANGUAGE sql STABLE AS $$ SELECT sum(balance) FROM prog.accounts WHERE owner = $1 $$;
CREATE FUNCTION prog.richest(int) RETURNS SETOF prog.accounts LANGUAGE sql STABLE ROWS 7 AS $$ SELECT * FROM prog.accounts ORDER BY balance DESC, id LIMIT $1 $$;
CREATE FUNCTION prog.atomic(int) RETURNS numeric LANGUAGE sql STABLE BEGIN ATOMIC SELECT balance FROM prog.accounts WHERE id = $1; END;
CREATE PROCEDURE prog.pay(who int, amount numeric, INOUT rest numeric DEFAULT NULL) LANGUAGE plpgsql AS $$
BEGIN
	UPDATE prog.accounts SET balance = balance - amount WHERE id = who RETURNING balance INTO rest;
END $$;
CREATE FUNCTION prog.add_max(numeric, numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT greatest($1, 0) + $2 $$;
CREATE AGGREGATE prog.sum_max(numeric) (SFUNC = prog.add_max, STYPE = numeric, INITCOND = '0', PARALLEL = SAFE);
CREATE OPERATOR prog.@+ (FUNCTION = prog.add_max, LEFTARG = numeric, RIGHTARG = numeric);
CREATE TYPE prog.shade AS ENUM ('light', 'dark');
CREATE FUNCTION prog.shade_of(int) RETURNS prog.shade LANGUAGE sql IMMUTABLE AS $$ SELECT CASE $1 WHEN 0 THEN 'light' ELSE 'dark' END::prog.shade $$;
CREATE TEXT SEARCH CONFIGURATION prog.plain (COPY = simple);
COMMENT ON FUNCTION prog.total(text) IS 'of one owner';
COMMENT ON PROCEDURE prog.pay IS 'pays';
COMMENT ON AGGREGATE prog.sum_max(numeric) IS 'sums';
COMMENT ON TYPE prog.shade IS 'shade';
REVOKE EXECUTE ON FUNCTION prog.total(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION prog.total(text) TO prog_reader;
ALTER FUNCTION prog.richest(int) OWNER TO prog_owner;
ALTER PROCEDURE prog.pay SET work_mem = '8MB';

CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF balance, owner ON prog.accounts FOR EACH ROW WHEN (NEW.owner <> 'nobody') EXECUTE FUNCTION prog.touch();
CREATE TRIGGER note_row AFTER INSERT OR DELETE ON prog.accounts FOR EACH ROW EXECUTE FUNCTION prog.note();
CREATE TRIGGER off AFTER UPDATE ON prog.accounts FOR EACH ROW EXECUTE FUNCTION prog.note();
ALTER TABLE prog.accounts DISABLE TRIGGER off;
CREATE TRIGGER always AFTER UPDATE ON prog.settings FOR EACH STATEMENT EXECUTE FUNCTION prog.touch();
ALTER TABLE prog.settings ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER on_replica BEFORE UPDATE ON prog.settings FOR EACH STATEMENT EXECUTE FUNCTION prog.touch();
ALTER TABLE prog.settings ENABLE REPLICA TRIGGER on_replica;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON prog.accounts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION prog.note();
CREATE TRIGGER tables_of AFTER UPDATE ON prog.log REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION prog.note();
COMMENT ON TRIGGER touch ON prog.accounts IS 'touches';

CREATE VIEW prog.rich AS SELECT id, owner, balance FROM prog.accounts WHERE balance > 100 WITH CASCADED CHECK OPTION;
CREATE VIEW prog.richer WITH (security_barrier) AS SELECT r.*, prog.shade_of(id % 2) AS shade FROM prog.rich r WHERE balance > 200;
CREATE VIEW prog.both AS SELECT a.id, r.balance FROM prog.accounts a LEFT JOIN prog.richer r USING (id);
CREATE VIEW prog.counting AS WITH RECURSIVE c (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 5) SELECT n FROM c;
CREATE MATERIALIZED VIEW prog.per_owner AS SELECT owner, count(*) AS n, sum(balance) AS total FROM prog.accounts GROUP BY owner;
CREATE UNIQUE INDEX ON prog.per_owner (owner);
CREATE MATERIALIZED VIEW prog.per_owner_again AS SELECT owner, n FROM prog.per_owner WHERE n > 1;
CREATE MATERIALIZED VIEW prog.empty_yet AS SELECT 1 AS one WITH NO DATA;
CREATE VIEW prog.writable AS SELECT key, value FROM prog.settings;
ALTER VIEW prog.writable ALTER COLUMN value SET DEFAULT '{}';
CREATE FUNCTION prog.insert_rich() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO prog.accounts (owner) VALUES ('v'); RETURN NEW; END $$;
CREATE TRIGGER instead INSTEAD OF INSERT ON prog.both FOR EACH ROW EXECUTE FUNCTION prog.insert_rich();
CREATE RULE log_delete AS ON DELETE TO prog.settings WHERE OLD.key = 'kept' DO ALSO INSERT INTO prog.log VALUES (NULL, 'rule', 0);
CREATE RULE no_update AS ON UPDATE TO prog.richer DO INSTEAD NOTHING;
CREATE RULE sleeping AS ON INSERT TO prog.log DO ALSO NOTHING;
ALTER TABLE prog.log DISABLE RULE sleeping;
COMMENT ON RULE log_delete ON prog.settings IS 'rule';
COMMENT ON VIEW prog.rich IS 'rich';
COMMENT ON MATERIALIZED VIEW prog.per_owner IS 'counted';
GRANT SELECT ON prog.rich TO prog_writer;
ALTER VIEW prog.rich OWNER TO prog_owner;

ALTER TABLE prog.accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE prog.accounts FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON prog.accounts FOR ALL TO prog_writer, prog_reader USING (owner = current_user) WITH CHECK (owner = current_user AND balance >= 0);
CREATE POLICY strict ON prog.accounts AS RESTRICTIVE FOR SELECT TO PUBLIC USING (secret IS NULL OR EXISTS (SELECT FROM prog.settings s WHERE s.key = owner));
COMMENT ON POLICY own ON prog.accounts IS 'own rows';
