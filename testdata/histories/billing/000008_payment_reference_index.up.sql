CREATE INDEX CONCURRENTLY payments_reference ON billing.payments (reference);
