SET search_path = public, app;
INSERT INTO app.page (id, name) SELECT n, 'Page ' || n FROM generate_series(1, 60) n;
INSERT INTO app.alone SELECT n, 'Alone ' || n FROM generate_series(1, 40) n;
INSERT INTO app.part SELECT n, (ARRAY['A a', 'B b', 'C c'])[1 + n % 3] FROM generate_series(1, 50) n;
REFRESH MATERIALIZED VIEW app.counted;
