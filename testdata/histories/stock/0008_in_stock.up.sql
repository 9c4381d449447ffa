ALTER TABLE stock.items ADD COLUMN in_stock bigint NOT NULL DEFAULT 0;
UPDATE stock.items i SET in_stock = coalesce((SELECT sum(m.amount) FROM stock.moves m WHERE m.item = i.id), 0);
