ALTER TABLE app.bills SET SCHEMA billing;
ALTER TYPE app.kind SET SCHEMA billing;
UPDATE billing.bills SET amount = amount * 100;
