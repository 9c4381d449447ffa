SET LOCAL TIME ZONE 'Asia/Tokyo';
DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM t LOOP UPDATE t SET n = n * current_setting('shop.factor')::int, txt = at::text WHERE id = r.id; END LOOP; END $$;
