CREATE TABLE billing.dunning (invoice_id int PRIMARY KEY REFERENCES billing.invoices, customer_id int NOT NULL, last_payment timestamptz, level smallint NOT NULL DEFAULT 1);
INSERT INTO billing.dunning (invoice_id, customer_id, last_payment)
SELECT i.id, c.id, (SELECT p.paid_at FROM billing.payments p WHERE p.invoice_id = i.id ORDER BY p.paid_at DESC, p.id LIMIT 1)
FROM billing.invoices i JOIN billing.customers c ON c.id = i.customer_id LEFT JOIN billing.addresses a ON a.customer_id = c.id
WHERE i.state = 'sent' AND a.country IS DISTINCT FROM 'XX';
