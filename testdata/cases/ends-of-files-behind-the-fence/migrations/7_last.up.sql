SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
UPDATE app.t SET txt = coalesce(txt, '') || ' ' || local::timestamptz;
