UPDATE shipping.parcels SET state = 'returned' WHERE note = 'back';
