INSERT INTO users (mail, nick, tags, state) SELECT 'Mail' || n || '@X', 'Nick' || n, hstore('n', n::text), CASE n % 2 WHEN 0 THEN 'on' ELSE 'off' END::state FROM generate_series(1, 200) n;
INSERT INTO posts (author, title, span) SELECT 1 + n % 200, 'title ' || n, tstzrange('2024-01-01 00:00+00', NULL) FROM generate_series(1, 400) n;
INSERT INTO by_citext SELECT 'Key' || n, n FROM generate_series(1, 50) n;
INSERT INTO booking SELECT n % 10, tstzrange(timestamptz '2024-01-01 00:00+00' + n * interval '1 day', timestamptz '2024-01-02 00:00+00' + n * interval '1 day') FROM generate_series(1, 50) n;
REFRESH MATERIALIZED VIEW similar_titles;
SELECT setval('free', 42);
