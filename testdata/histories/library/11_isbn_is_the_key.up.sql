ALTER TABLE library.books ADD COLUMN reads int NOT NULL DEFAULT 0;
UPDATE library.books b SET reads = (SELECT count(*) FROM library.loans l WHERE l.book = b.id);
