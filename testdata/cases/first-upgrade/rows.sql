INSERT INTO shop.customers (name, mail) SELECT 'A' || n || ' B' || n, n || '@x' FROM generate_series(1, 500) n;
INSERT INTO shop.orders (customer_id, total, status) SELECT 1 + n % 500, n / 3.0, CASE n % 2 WHEN 0 THEN 'new' ELSE 'paid' END FROM generate_series(1, 5000) n;
