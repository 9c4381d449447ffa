ALTER TABLE billing.invoices ADD number bigint;
UPDATE billing.invoices i SET number = n.number FROM (SELECT id, row_number() OVER (PARTITION BY customer_id ORDER BY id) AS number FROM billing.invoices) n WHERE n.id = i.id;
ALTER TABLE billing.invoices ALTER number SET NOT NULL;
