CREATE TABLE library.addresses (reader bigint PRIMARY KEY REFERENCES library.readers ON DELETE CASCADE, street text, city text, zip text);
INSERT INTO library.addresses (reader, street, city, zip) SELECT id, street, city, zip FROM library.readers WHERE street IS NOT NULL OR city IS NOT NULL;
