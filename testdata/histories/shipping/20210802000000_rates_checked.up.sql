ALTER TABLE shipping.rates ADD CONSTRAINT rates_positive CHECK (cents >= 0) NOT VALID;
ALTER TABLE shipping.rates VALIDATE CONSTRAINT rates_positive;
