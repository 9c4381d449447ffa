ALTER TABLE billing.customers ADD updated_at timestamptz;
UPDATE billing.customers SET updated_at = created_at;
ALTER TABLE billing.customers ALTER updated_at SET NOT NULL, ALTER updated_at SET DEFAULT now();
CREATE FUNCTION billing.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON billing.customers FOR EACH ROW EXECUTE FUNCTION billing.touch();
