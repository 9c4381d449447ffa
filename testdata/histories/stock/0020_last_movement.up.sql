ALTER TABLE stock.items ADD COLUMN last_place text;
UPDATE stock.items i SET last_place = (SELECT m.place FROM stock.movements m WHERE m.item = i.id ORDER BY m.moved_at DESC NULLS LAST, m.id DESC LIMIT 1);
