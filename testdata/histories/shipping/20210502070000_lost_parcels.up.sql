DELETE FROM shipping.parcels WHERE state = 'lost' AND sent IS NULL;
