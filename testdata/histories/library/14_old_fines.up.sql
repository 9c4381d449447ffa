DELETE FROM library.fines WHERE reader IS NULL;
ALTER TABLE library.fines ALTER COLUMN reader SET NOT NULL;
