INSERT INTO shop.customers (name) SELECT 'A' || n FROM generate_series(1, 200) n;
INSERT INTO shop.orders (customer_id, total) SELECT 1 + n % 200, n / 3.0 FROM generate_series(1, 2000) n;
INSERT INTO shop.notes (customer_id, note) SELECT n, 'note ' || n FROM generate_series(1, 200) n;
INSERT INTO shop.checked SELECT n, n FROM generate_series(1, 10) n;
