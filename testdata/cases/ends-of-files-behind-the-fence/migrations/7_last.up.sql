UPDATE app.t SET txt = coalesce(txt, '') || ' ' || local::timestamptz;
