DELETE FROM stock.orders o USING stock.items i WHERE i.id = o.item AND i.gone;
