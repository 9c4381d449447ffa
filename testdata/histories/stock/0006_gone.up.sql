UPDATE stock.items SET gone = coalesce(gone, false);
ALTER TABLE stock.items ALTER COLUMN gone SET NOT NULL, ALTER COLUMN gone SET DEFAULT false;
