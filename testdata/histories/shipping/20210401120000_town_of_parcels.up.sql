ALTER TABLE shipping.parcels ADD COLUMN town text;
UPDATE shipping.parcels p SET town = d.town FROM shipping.depots d WHERE d.id = p.depot;
