ALTER TABLE billing.customers ADD invoices bigint NOT NULL DEFAULT 0, ADD last_invoice timestamp;
UPDATE billing.customers c SET invoices = (SELECT count(*) FROM billing.invoices i WHERE i.customer_id = c.id),
    last_invoice = (SELECT max(issued_at) FROM billing.invoices i WHERE i.customer_id = c.id);
CREATE INDEX invoices_customer ON billing.invoices (customer_id);
