UPDATE t SET txt = txt || ' ' || at;
SET TIME ZONE 'UTC';
