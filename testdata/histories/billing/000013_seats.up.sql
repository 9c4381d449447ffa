ALTER TABLE billing.subscriptions ADD CONSTRAINT seats_sane CHECK (seats < 2000000000) NOT VALID;
ALTER TABLE billing.subscriptions VALIDATE CONSTRAINT seats_sane;
ALTER TABLE billing.subscriptions ADD monthly boolean GENERATED ALWAYS AS (ended IS NULL) STORED;
