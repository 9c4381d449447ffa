ALTER TABLE library.readers ALTER COLUMN card TYPE text USING 'C-' || lpad(card::text, 10, '0');
