BEGIN;
ALTER TABLE billing.customers ADD first_name text, ADD last_name text;
UPDATE billing.customers SET first_name = split_part(name, ' ', 1), last_name = nullif(split_part(name, ' ', 2), '');
ALTER TABLE billing.customers ALTER first_name SET NOT NULL;
COMMIT;
