ALTER TABLE billing.customers DROP COLUMN name;
