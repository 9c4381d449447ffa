-- An enum renewed: the old one goes.
ALTER TYPE vals.status RENAME TO status_before;
CREATE TYPE vals.status AS ENUM ('new', 'paid', 'lost');
ALTER TABLE vals.statuses ALTER COLUMN status DROP DEFAULT;
ALTER TABLE vals.statuses ALTER COLUMN status TYPE vals.status USING (CASE status::text WHEN 'gone' THEN 'lost' ELSE status::text END)::vals.status;
ALTER TABLE vals.statuses ALTER COLUMN old_status TYPE vals.status USING old_status::text::vals.status;
ALTER TABLE vals.statuses ALTER COLUMN many TYPE vals.status[] USING many::text[]::vals.status[];
ALTER TABLE vals.statuses ALTER COLUMN status SET DEFAULT 'new';
DROP TYPE vals.status_before;
