BEGIN;
SET LOCAL search_path = shop;
DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM customers WHERE id % 7 = 0 ORDER BY id LOOP INSERT INTO notes (customer_id, note) VALUES (r.id, 'seventh'); END LOOP;
IF EXISTS (SELECT FROM orders WHERE total > 600) THEN ALTER TABLE orders ADD COLUMN large boolean; ELSE ALTER TABLE orders ADD COLUMN small boolean; END IF; END $$;
COMMIT;
