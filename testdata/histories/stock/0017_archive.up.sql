CREATE TABLE stock.old_movements (LIKE stock.movements);
INSERT INTO stock.old_movements SELECT * FROM stock.movements WHERE moved_at < '2010-01-01';
