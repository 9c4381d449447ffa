CREATE VIEW shipping.on_the_way AS SELECT id, code, town FROM shipping.parcels WHERE state IN ('announced', 'new', 'moving');
