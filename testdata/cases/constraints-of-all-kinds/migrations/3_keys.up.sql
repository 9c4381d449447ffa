ALTER TABLE rules.orders ALTER COLUMN id TYPE bigint;
ALTER TABLE rules.lines ALTER COLUMN order_id TYPE bigint;
ALTER TABLE rules.orders ADD COLUMN payer int REFERENCES rules.customers;
UPDATE rules.orders SET payer = customer WHERE state = 'done';
ALTER TABLE rules.uses ADD COLUMN customer int DEFAULT 1 REFERENCES rules.customers ON DELETE SET DEFAULT DEFERRABLE;
ALTER TABLE rules.legs ADD CONSTRAINT legs_loose FOREIGN KEY (id) REFERENCES rules.heads NOT VALID;
