ALTER TABLE library.readers ADD COLUMN last_book bigint;
UPDATE library.readers r SET last_book = (SELECT l.book FROM library.loans l WHERE l.reader = r.id ORDER BY l.taken DESC, l.book LIMIT 1);
