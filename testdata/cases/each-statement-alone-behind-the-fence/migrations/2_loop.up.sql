WITH x AS (UPDATE app.t SET n = n + 1 RETURNING id) UPDATE app.t SET txt = 'x' FROM x WHERE false;
SET LOCAL TIME ZONE 'Asia/Tokyo';
UPDATE app.t SET txt = local::timestamptz::text;
CREATE TEMP TABLE gone (id int) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS gone (id int);
INSERT INTO gone VALUES (3);
UPDATE app.t SET n = n + 1000 WHERE id IN (SELECT id FROM gone);
DROP TABLE gone;
