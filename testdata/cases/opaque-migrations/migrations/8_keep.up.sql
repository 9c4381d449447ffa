CREATE TEMP TABLE keep AS SELECT id FROM shop.customers WHERE id % 10 = 0;
