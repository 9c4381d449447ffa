UPDATE shipping.drivers SET phone = regexp_replace(phone, '[^0-9+]', '', 'g') WHERE phone IS NOT NULL;
ALTER TABLE shipping.drivers ADD CONSTRAINT drivers_phone CHECK (phone !~ '[^0-9+]');
