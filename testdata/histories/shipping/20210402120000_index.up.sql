CREATE INDEX CONCURRENTLY parcels_town ON shipping.parcels (town);
