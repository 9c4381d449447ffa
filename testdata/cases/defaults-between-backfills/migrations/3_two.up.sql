UPDATE app.t SET d = c * 2 WHERE id > 10;
UPDATE app.t SET (c, d) = (d, c), b = coalesce(b, 'none') WHERE id < 20;
UPDATE app.t SET (a, d) = (SELECT t.a + 1, DEFAULT_D FROM (SELECT 4 AS default_d) x) WHERE id = 99;
ALTER TABLE app.t ADD COLUMN at timestamptz DEFAULT '2020-02-02 00:00+00';
