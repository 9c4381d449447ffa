DROP VIEW billing.open_invoices;
ALTER TABLE billing.invoices DROP COLUMN total;
CREATE VIEW billing.open_invoices AS SELECT id, total_cents, issued_at FROM billing.invoices WHERE state = 'open';
