ALTER TABLE billing.invoices ADD token uuid DEFAULT gen_random_uuid();
UPDATE billing.invoices SET token = gen_random_uuid() WHERE token IS NULL;
ALTER TABLE billing.invoices ALTER token SET NOT NULL;
CREATE UNIQUE INDEX invoices_token ON billing.invoices (token);
