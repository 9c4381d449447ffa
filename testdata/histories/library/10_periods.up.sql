ALTER TABLE library.loans ADD COLUMN period daterange;
UPDATE library.loans SET period = daterange(taken, greatest(back, taken), '[]');
