ALTER TABLE stock.movements ADD CONSTRAINT movements_amount CHECK (amount BETWEEN -1000000 AND 1000000);
