INSERT INTO app.bills (kind, amount) SELECT (ARRAY['a', 'b'])[1 + g % 2]::app.kind, g FROM generate_series(1, 20) g;
INSERT INTO app.lines (bill, n) SELECT 1 + g % 20, g FROM generate_series(1, 50) g;
INSERT INTO billing.plans SELECT g, 'p' || g FROM generate_series(1, 10) g;
