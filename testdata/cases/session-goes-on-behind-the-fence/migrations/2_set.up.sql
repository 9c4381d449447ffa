SET search_path = app;
SET TIME ZONE 'Europe/Zurich';
SELECT set_config('shop.factor', '3', false);
ALTER TABLE t ADD COLUMN at timestamptz;
