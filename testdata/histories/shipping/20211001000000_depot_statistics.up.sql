ALTER TABLE shipping.depots ADD COLUMN parcels bigint NOT NULL DEFAULT 0;
UPDATE shipping.depots d SET parcels = (SELECT count(*) FROM shipping.drivers x WHERE x.depot = d.id);
