DELETE FROM shipping.scans s WHERE NOT EXISTS (SELECT FROM shipping.depots d WHERE d.id = s.depot);
