CREATE FUNCTION messages.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('mails', NEW.id::text); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT ON messages.mails FOR EACH ROW EXECUTE FUNCTION messages.tell();
