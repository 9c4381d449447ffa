ALTER TABLE library.readers DROP COLUMN street, DROP COLUMN city, DROP COLUMN zip;
