ALTER TABLE stock.moves ADD COLUMN place_name text;
UPDATE stock.moves m SET place_name = p.name FROM stock.places p WHERE p.code = m.place;
