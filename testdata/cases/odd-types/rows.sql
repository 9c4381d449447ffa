SET search_path = shop, public; INSERT INTO shop.odd (m, ms, s, ss, l, a, n, ns, mr, mm, fr, p, ci, cis, h, x, money, tv, tq, jp, vb, b3, one, nm, iv, iv2, tz, t0, ts, num, neg, j, jb, ba, c6, cs, rt, rr, rc, u, inet, cidr, mac, pt, pg, lsn, f4, f8, te, mt)
SELECT (ARRAY['sad','ok','happy'])[i % 3 + 1]::mood, ARRAY['ok', NULL, 'sad']::mood[], CASE WHEN i % 4 > 0 THEN 'v ' || i % 100 || ' ' END, ARRAY['a"b', NULL, ' x ']::shorter[], CASE WHEN i % 2 = 0 THEN ARRAY[[1,2],[3,i]] END,
ROW('st,"' || i % 10, 'ok', timestamptz '2026-02-03 04:05:06.7+00')::addr, ROW(ARRAY[ROW(NULL, 'sad', 'infinity')::addr, NULL], i / 7.0)::nested, ARRAY[ROW(NULL, 1)::nested], moods('sad', 'happy', '[]'), multirange(moods('sad', 'ok')), floats(i / 3.0, NULL),
CASE WHEN i % 5 > 0 THEN ROW(NULL, 'ok', '-infinity')::addr END, 'MiXed' || i, ARRAY['Ä', 'ß']::citext[], hstore('k' || i, NULL) || hstore('a"', E'\\\n'), '<?xml version="1.0"?><a>&amp;ä</a>', i * 1.01, to_tsvector('english', 'the fat cats ' || i), 'fat & !cat:ab', '$.a[*] ? (@ > 1)',
i::bit(9)::varbit, i::bit(3), chr(65 + i % 26)::"char", repeat('n', 63), i * interval '1 minute', i * interval '1.234567 s', '12:00:00.123456+05:30', '23:59:59.6', timestamptz '2026-02-03 04:05:06.7+00' + i * interval '1 s', i / 3.0, i * 1000,
'{"b":1,  "a" : 1.0, "a":2}', '{"b":1.00,"a":"\u00e4"}', decode(repeat('00ff5c', i % 40), 'hex'), 'c' || i % 7, ARRAY['a', 'b ', NULL]::char(3)[], 'integer[]', current_user::regrole, 'pg_class', md5(i::text)::uuid, '10.0.0.0/8', '10.0.0.0/8', '08:00:2b:01:02:03:04:05',
point(i, 'NaN'), '((0,0),(1,1),(1,0))', '16/B374D848', 'NaN', CASE i % 4 WHEN 0 THEN '-0' WHEN 1 THEN 'Infinity' WHEN 2 THEN 0.1 + 0.2 ELSE 5e-324 END, 'TeXt' || E'\n\\.\n\t' || i, '{[1,3),[5,7)}'
FROM generate_series(1, 3000) i;
INSERT INTO by_key SELECT 'k' || i % 50, (ARRAY['sad','ok','happy'])[i % 3 + 1]::mood, i / 10.0, 'v' || i FROM generate_series(1, 2000) i;
INSERT INTO by_text SELECT 'Key' || i, i FROM generate_series(1, 500) i;
INSERT INTO loose SELECT ROW('x', 'ok', timestamptz '2026-02-03 04:05:06.7+00')::addr, i % 3, CASE WHEN i % 4 > 0 THEN 't' || i % 5 END, timestamptz '2026-02-03 04:05:06.7+00' FROM generate_series(1, 500) i;
