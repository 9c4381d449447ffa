ALTER TABLE metrics.points RENAME TO points_old;
CREATE TABLE metrics.points (LIKE metrics.points_old INCLUDING DEFAULTS) PARTITION BY RANGE (at);
DO $$
DECLARE m timestamptz;
BEGIN
    FOR m IN SELECT DISTINCT date_trunc('month', at, 'UTC') FROM metrics.points_old LOOP
        EXECUTE format('CREATE TABLE metrics.points_%s PARTITION OF metrics.points FOR VALUES FROM (%L) TO (%L)', to_char(m AT TIME ZONE 'UTC', 'YYYY_MM'), m, (m AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
    END LOOP;
END
$$;
CREATE TABLE metrics.points_rest PARTITION OF metrics.points DEFAULT;
INSERT INTO metrics.points SELECT * FROM metrics.points_old;
DROP TABLE metrics.points_old;
