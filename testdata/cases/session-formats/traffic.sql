INSERT INTO shop.vals SELECT 1000, '\x00ff', 1 / 7.0, '3 days', '2024-12-03', 5, '2024-07-01 00:00+00', '2024-07-01 00:00', '{0.1}', '3.12.2024', 0.1;
UPDATE shop.vals SET f = f + 0.1, local = local + interval '1 hour' WHERE id % 9 = 0; DELETE FROM shop.vals WHERE id = 7; INSERT INTO shop.loose VALUES (1 / 7.0, 'y'), (1 / 7.0, 'y'); DELETE FROM shop.loose WHERE f < 2;
