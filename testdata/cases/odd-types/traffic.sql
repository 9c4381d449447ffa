SET search_path = shop, public;
UPDATE odd SET m = 'happy', s = 'new', ts = ts + interval '0.123456 s', c6 = 'longer', n.n = 9999.99, ci = upper(ci), f8 = '-0', num = num * 2 WHERE id % 7 = 0;
DELETE FROM odd WHERE id % 11 = 0; INSERT INTO odd (m, a, x, te) SELECT 'ok', ROW('new', NULL, '2026-01-01 00:00:00.7+00')::addr, '<b/>', 'É' || i FROM generate_series(1, 300) i;
UPDATE by_key SET n = n::numeric(10,4) WHERE v LIKE '%1'; UPDATE by_key SET k = 'z' || k WHERE v LIKE '%2' AND n < 50; DELETE FROM by_key WHERE v LIKE '%3';
UPDATE by_text SET k = upper(k), v = v || '!' WHERE v LIKE '%5'; DELETE FROM by_text WHERE v LIKE '%7';
DELETE FROM loose WHERE f = 1 AND t IS NULL; UPDATE loose SET f = '-0' WHERE f = 0; INSERT INTO loose TABLE loose;
