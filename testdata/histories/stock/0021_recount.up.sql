CREATE PROCEDURE stock.recount() LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
    FOR r IN SELECT item, sum(amount) AS n FROM stock.movements GROUP BY item LOOP
        UPDATE stock.items SET in_stock = r.n WHERE id = r.item;
    END LOOP;
END
$$;
CALL stock.recount();
