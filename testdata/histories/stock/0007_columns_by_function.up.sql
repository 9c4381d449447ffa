CREATE FUNCTION stock.add_times(name regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ADD COLUMN made_at timestamptz DEFAULT ''2020-01-01'', ADD COLUMN changed_at timestamptz', name);
END
$$;
SELECT stock.add_times('stock.items');
SELECT stock.add_times('stock.orders');
DROP FUNCTION stock.add_times(regclass);
