CREATE TABLE billing.currencies (code char(3) PRIMARY KEY, digits int NOT NULL);
INSERT INTO billing.currencies VALUES ('EUR', 2), ('CHF', 2), ('JPY', 0);
ALTER TABLE billing.customers ADD currency char(3) NOT NULL DEFAULT 'EUR' REFERENCES billing.currencies;
UPDATE billing.customers SET currency = CASE country WHEN 'CH' THEN 'CHF' WHEN 'JP' THEN 'JPY' ELSE 'EUR' END;
