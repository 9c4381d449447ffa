CREATE TABLE stock.returns (reason text) INHERITS (stock.orders);
ALTER TABLE stock.orders ADD COLUMN channel text DEFAULT 'shop';
