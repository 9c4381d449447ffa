ALTER TABLE library.authors ADD COLUMN sort_name text;
UPDATE library.authors SET sort_name = CASE WHEN strpos(name, ' ') > 0 THEN substr(name, strpos(name, ' ') + 1) || ', ' || split_part(name, ' ', 1) ELSE name END;
ALTER TABLE library.authors ALTER COLUMN sort_name SET NOT NULL;
