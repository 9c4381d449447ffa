ALTER TABLE library.fines ADD COLUMN cents int;
UPDATE library.fines SET cents = round(amount * 100);
ALTER TABLE library.fines ALTER COLUMN cents SET NOT NULL, DROP COLUMN amount;
