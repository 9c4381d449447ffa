ALTER TABLE library.readers ADD COLUMN owing bigint NOT NULL DEFAULT 0;
WITH sums AS (SELECT reader, sum(cents) AS cents FROM library.fines GROUP BY reader)
UPDATE library.readers r SET owing = s.cents FROM sums s WHERE s.reader = r.id;
