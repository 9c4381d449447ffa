CREATE OR REPLACE FUNCTION prog.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = prog, pg_temp AS $$
BEGIN
	INSERT INTO prog.log (what, id) VALUES ('changed ' || TG_OP, coalesce(NEW.id, OLD.id));
	RETURN NULL;
END $$;
CREATE FUNCTION prog.fresh(a prog.accounts) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT a.owner || a.currency $$;
DROP FUNCTION prog.total(text);
CREATE TRIGGER fresh BEFORE DELETE ON prog.settings FOR EACH ROW EXECUTE FUNCTION prog.touch();
ALTER TABLE prog.accounts DISABLE TRIGGER note_row;
ALTER PROCEDURE prog.pay(int, numeric, numeric) RENAME TO pay_out;
