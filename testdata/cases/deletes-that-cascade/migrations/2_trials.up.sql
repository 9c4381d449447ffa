DELETE FROM app.tenants WHERE trial;
ALTER TABLE app.tenants DROP COLUMN trial;
