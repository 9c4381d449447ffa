DROP TABLE rows;
UPDATE app.t SET kind = 'c' WHERE n < 0;
SET LOCAL TIME ZONE 'Asia/Tokyo';
BEGIN;
UPDATE app.t SET txt = local::timestamptz::text WHERE id % 2 = 0;
COMMIT;
UPDATE app.t SET txt = local::timestamptz::text WHERE id % 2 = 1;
