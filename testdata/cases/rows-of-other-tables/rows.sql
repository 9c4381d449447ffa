INSERT INTO app.countries SELECT chr(96 + i), 'Country ' || i, nullif(i % 4, 0) FROM generate_series(1, 9) i;
INSERT INTO app.teams SELECT i, 'Team ' || i, nullif(chr(96 + i % 10), '`'), i * 3 FROM generate_series(1, 20) i;
INSERT INTO app.users (email, team, login, karma) SELECT CASE WHEN i % 5 > 0 THEN 'u' || i || '@x.org' END, nullif(i % 23, 0), CASE WHEN i % 7 > 0 THEN 'login' || i END, i * 1.25 FROM generate_series(1, 120) i;
INSERT INTO app.posts SELECT i, nullif(i % 130, 0), CASE WHEN i % 6 > 0 THEN 'Post ' || i END, (ARRAY['draft', 'open', 'gone'])[1 + i % 3], '2024-01-01'::timestamptz + i * interval '5 hours' FROM generate_series(1, 400) i;
INSERT INTO app.votes SELECT p, v, (p + v) % 5 - 2 FROM generate_series(1, 400, 3) p, generate_series(1, 40, 7) v;
INSERT INTO app.labels SELECT i % 5, i / 5, 'label ' || i FROM generate_series(0, 24) i;
