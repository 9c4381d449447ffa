DELETE FROM billing.customers WHERE invoices = 0 AND email LIKE '%7%' AND NOT EXISTS (SELECT FROM billing.dunning d WHERE d.customer_id = customers.id);
