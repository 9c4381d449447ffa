DELETE FROM stock.movements WHERE moved_at < '2010-01-01';
