DELETE FROM billing.invoices WHERE customer_id IS NULL AND state = 'draft';
UPDATE billing.invoices SET currency = 'EUR' WHERE currency IS NULL;
ALTER TABLE billing.invoices ALTER currency SET NOT NULL;
