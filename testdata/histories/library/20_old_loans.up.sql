CREATE TABLE library.old_loans AS SELECT * FROM library.loans WHERE back IS NOT NULL AND taken < '2021-01-01';
DELETE FROM library.loans WHERE back IS NOT NULL AND taken < '2021-01-01';
