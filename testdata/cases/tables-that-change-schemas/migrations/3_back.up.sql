ALTER TABLE billing.plans SET SCHEMA app;
ALTER TABLE app.lines ADD COLUMN total int;
UPDATE app.lines l SET total = n * b.amount FROM billing.bills b WHERE b.id = l.bill;
