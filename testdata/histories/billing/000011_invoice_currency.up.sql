ALTER TABLE billing.invoices ADD currency char(3), ADD customer_id int;
UPDATE billing.invoices i SET currency = c.currency, customer_id = c.id
FROM billing.subscriptions s JOIN billing.customers c ON c.id = s.customer_id
WHERE s.id = i.subscription_id;
