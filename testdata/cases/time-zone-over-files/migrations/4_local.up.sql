BEGIN;
SET LOCAL TIME ZONE 'America/New_York';
UPDATE app.events SET txt = at::text WHERE id % 2 = 0;
COMMIT;
UPDATE app.events SET txt = txt || ' ' || at WHERE id % 3 = 0;
ALTER TABLE app.events ADD COLUMN utc timestamp;
UPDATE app.events SET utc = at AT TIME ZONE 'UTC', day = at::date;
