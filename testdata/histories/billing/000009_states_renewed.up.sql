ALTER TYPE billing.invoice_state RENAME TO invoice_state_old;
CREATE TYPE billing.invoice_state AS ENUM ('draft', 'sent', 'paid', 'cancelled', 'overdue');
DROP VIEW billing.open_invoices;
ALTER TABLE billing.invoices ALTER state DROP DEFAULT,
    ALTER state TYPE billing.invoice_state USING CASE state::text WHEN 'open' THEN 'sent' WHEN 'void' THEN 'cancelled' ELSE state::text END::billing.invoice_state,
    ALTER state SET DEFAULT 'draft';
DROP TYPE billing.invoice_state_old;
CREATE VIEW billing.open_invoices AS SELECT id, total_cents, issued_at FROM billing.invoices WHERE state IN ('sent', 'overdue');
