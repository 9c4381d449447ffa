-- 20,000 customers, 200,000 orders, 400,000 lines, 100,000 events; of all but the customers
-- one row in shop.one_in.
INSERT INTO shop.customers (full_name, mail, balance)
SELECT 'First' || n || ' Last' || n, 'c' || n || '@example.com', 1000 FROM generate_series(1, 20000) n;
INSERT INTO shop.orders (customer_id, country, status, total, created_at)
SELECT 1 + n % 20000, (ARRAY['CH', 'DE', 'FR'])[1 + n % 3], (ARRAY['new', 'paid', 'sent'])[1 + n % 3],
       (n % 9973) / 7.0, timestamptz '2026-01-01' + n * interval '2 minutes'
FROM generate_series(1, 200000 / current_setting('shop.one_in')::int) n;
INSERT INTO shop.order_lines
SELECT 1 + n % (200000 / current_setting('shop.one_in')::int), 1 + n / (200000 / current_setting('shop.one_in')::int), 'product ' || n % 500, 1 + n % 9 FROM generate_series(0, 400000 / current_setting('shop.one_in')::int - 1) n;
INSERT INTO shop.events (at, kind, body)
SELECT timestamptz '2026-01-01' + n * interval '4 minutes', (ARRAY['view', 'cart', 'search'])[1 + n % 3],
       jsonb_build_object('page', n) FROM generate_series(1, 100000 / current_setting('shop.one_in')::int) n;
INSERT INTO shop.audit_log (what) SELECT 'start ' || n % 100 FROM generate_series(1, 5000) n;
ANALYZE;
