CREATE TABLE billing.addresses (customer_id int PRIMARY KEY REFERENCES billing.customers ON DELETE CASCADE, country char(2) NOT NULL, line text);
INSERT INTO billing.addresses (customer_id, country) SELECT id, country FROM billing.customers WHERE country IS NOT NULL;
ALTER TABLE billing.customers DROP COLUMN country;
