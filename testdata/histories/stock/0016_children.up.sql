CREATE TABLE stock.returns (reason text, PRIMARY KEY (id)) INHERITS (stock.orders);
ALTER TABLE stock.orders ADD COLUMN channel text DEFAULT 'shop';
