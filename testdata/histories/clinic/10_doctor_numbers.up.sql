ALTER TABLE clinic.doctors ADD COLUMN number text;
UPDATE clinic.doctors SET number = 'D' || lpad(id::text, 12, '0');
ALTER TABLE clinic.doctors ALTER COLUMN number SET NOT NULL, ADD UNIQUE (number);
