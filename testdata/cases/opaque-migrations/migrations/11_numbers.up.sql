ALTER TABLE shop.checked ADD COLUMN more int NOT NULL DEFAULT 3;
SELECT setval('shop.orders_id_seq', (SELECT max(id) + 1000 FROM shop.orders));
