ALTER TABLE billing.invoices ADD total_cents bigint;
UPDATE billing.invoices SET total_cents = round(total * 100);
ALTER TABLE billing.invoices ALTER total_cents SET NOT NULL;
ALTER TABLE billing.invoice_lines ALTER amount TYPE bigint USING round(amount * 100)::bigint;
ALTER TABLE billing.invoice_lines RENAME amount TO cents;
