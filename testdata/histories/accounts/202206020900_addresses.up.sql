ALTER TABLE audit.logins ALTER COLUMN ip TYPE text USING host(ip);
