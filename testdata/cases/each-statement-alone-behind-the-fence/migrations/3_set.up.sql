SELECT set_config('TimeZone', 'Asia/Tokyo', true);
UPDATE app.t SET txt = txt || ' ' || local::timestamptz;
SET TIME ZONE 'Europe/Zurich';
UPDATE app.t SET txt = txt || ' ' || local::timestamptz;
