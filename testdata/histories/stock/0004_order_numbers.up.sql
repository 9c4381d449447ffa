CREATE SEQUENCE stock.order_numbers START WITH 5000000;
ALTER TABLE stock.orders ALTER COLUMN number SET DEFAULT nextval('stock.order_numbers');
UPDATE stock.orders SET number = id WHERE number IS NULL;
