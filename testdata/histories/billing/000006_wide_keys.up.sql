ALTER TABLE billing.payments ALTER id TYPE bigint, ALTER invoice_id TYPE bigint;
ALTER SEQUENCE billing.payments_id_seq AS bigint;
