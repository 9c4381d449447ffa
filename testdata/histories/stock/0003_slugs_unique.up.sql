CREATE UNIQUE INDEX CONCURRENTLY items_slug ON stock.items (slug);
