ALTER TABLE stock.items ALTER COLUMN tags TYPE text[] USING string_to_array(tags, ',');
