INSERT INTO vals.all_kinds VALUES (1,
	true, 1, 1, 1.1, 1.1, 1.10, 1.1, '1.10', 'text', 'vc', 'c', 'name', '\x0001ff', md5('1')::uuid,
	'2024-02-29', '2024-02-29 12:00:00.000001', '2024-02-29 12:00:00.999999+03', '12:00:00.1', '12:00:00+05', '1 year 2 mons 3 days 04:05:06.7',
	'ok', '{sad,happy}', ROW('Main, "st"', '12345'), ROW('A', ROW('s', NULL), '{a}'), ARRAY[ROW('A', NULL, '{}')::vals.person, NULL],
	1, '{1,2}', 'a@b',
	'[1,5)', '(1.5,2.5]', '[2024-01-01 00:00+00,infinity)', '{[1,2),[5,9)}', '[1.0,2.00]',
	'[0:1]={1,NULL}', '{{a,b},{"",NULL}}', '{"b": 1,  "a": [1, null], "b": 2}', '{"b": 1, "a": [1, null], "n": 1.00}', '<a b="1">x</a>',
	'10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '10101', '1',
	'(1,2)', '((0,0),(1,1))', '((0,0),(1,1))', '((0,0),(1,1),(1,0))', '<(0,0),1>',
	'a:1 b:2A', 'a & !b', 'pg_catalog.pg_class', 'pg_catalog.int4', 12345, '16/B374D848');
INSERT INTO vals.all_kinds (id, mail) VALUES (2, 'nulls@x');
INSERT INTO vals.all_kinds (id, f4, f8, n, t, vc, c, by, d, ts, tz, r4, rn, mr, ia, ta, j, jb, moods, mail, tsv) VALUES
	(3, 'NaN', 'NaN', 'NaN', '', '', '', '', 'infinity', 'infinity', 'infinity', 'empty', '(,)', '{}', '{}', '{}', 'null', 'null', '{}', '@', ''),
	(4, '-Infinity', '-0', '-Infinity', E'tab\t\\ "quoted" ''single'' \u00e4\U0001F600', ' x ', ' x', '\x5c78', '-infinity', '-infinity', '-infinity', '[3,3]', '[NaN,NaN]', '{}', '{NULL}', '{{1}}', '""', '"\u00e4"', '{NULL}', ' @ ', ''),
	(5, '1e-37', 5e-324, 1e100, repeat('ä', 3000), '', 'abcdef', decode(repeat('00', 3000), 'hex'), '4713-01-01 BC', '294276-12-31 23:59:59.999999', '4713-01-02 00:00+00 BC', '[,5)', '[-Infinity,Infinity]', '{(,)}', array_fill(7, ARRAY[500]), '{}', '[]', jsonb_build_object('k', repeat('v', 5000)), '{sad,ok,happy}', 'x@', to_tsvector('simple', repeat('word ', 100)));
INSERT INTO vals.all_kinds (id, i8, t, n, f8, mail) SELECT n, n::bigint << 30, nullif('t' || n % 4, 't3'), n / 3.0, exp(n / 10.0), n || '@x' FROM generate_series(10, 300) n;
INSERT INTO vals.parcels SELECT n, ROW(n, nullif(n % 3, 0))::vals.parcel, ARRAY[ARRAY['sad', 'ok'], ARRAY['happy', NULL]]::vals.mood[] FROM generate_series(1, 30) n;
INSERT INTO vals.large SELECT n, (SELECT string_agg(md5(n::text || k), '') FROM generate_series(1, 600) k), decode((SELECT string_agg(md5(k::text || n), '') FROM generate_series(1, 900) k), 'hex'),
	jsonb_build_object('n', n, 'list', (SELECT jsonb_agg(md5(k::text)) FROM generate_series(1, 300) k)), repeat(n::text, 20000) FROM generate_series(1, 20) n;
INSERT INTO vals.large VALUES (100, '', '', 'null', NULL), (101, repeat('z', 1500000), NULL, NULL, '');
INSERT INTO vals.made (id, w, h, name) SELECT n, n, n % 5, nullif('name' || n % 3, 'name2') FROM generate_series(1, 100) n;
INSERT INTO vals.defaults (at, who, u) SELECT timestamptz '2024-01-01 00:00+00' + n * interval '1 h', 'w' || n, md5(n::text)::uuid FROM generate_series(1, 60) n;
INSERT INTO vals.identities (b) SELECT 'b' || n FROM generate_series(1, 60) n;
INSERT INTO vals.serials (t) SELECT n FROM generate_series(1, 60) n;
INSERT INTO vals.statuses SELECT n, (ARRAY['new', 'paid', 'gone']::vals.status[])[1 + n % 3], nullif((ARRAY['new', 'paid', 'gone']::vals.status[])[1 + n % 3], 'gone'), ARRAY['new']::vals.status[] FROM generate_series(1, 60) n;
INSERT INTO vals.dropped SELECT n, n, 'b' || n, 'f' || n FROM generate_series(1, 60) n;
SELECT nextval('vals.countdown'), nextval('vals.countdown'), setval('vals.small', 30000, false);
