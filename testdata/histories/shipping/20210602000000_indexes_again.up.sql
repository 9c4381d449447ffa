CREATE INDEX parcels_depot ON shipping.parcels (depot);
CREATE INDEX parcels_code ON shipping.parcels (code);
