ALTER TABLE shipping.rates ADD COLUMN until date;
INSERT INTO shipping.rates (zone, cents, until)
SELECT l.zone, l.cents, l.until FROM shipping.local_rates l WHERE NOT EXISTS (SELECT FROM shipping.rates r WHERE r.zone = l.zone);
DROP TABLE shipping.local_rates;
