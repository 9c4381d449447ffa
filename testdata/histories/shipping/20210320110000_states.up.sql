BEGIN;
ALTER TYPE shipping.state RENAME TO state_old;
CREATE TYPE shipping.state AS ENUM ('announced', 'new', 'moving', 'delivered', 'lost');
ALTER TABLE shipping.parcels ALTER COLUMN state DROP DEFAULT;
ALTER TABLE shipping.parcels ALTER COLUMN state TYPE shipping.state
    USING (CASE state::text WHEN 'there' THEN 'delivered' ELSE state::text END)::shipping.state;
ALTER TABLE shipping.parcels ALTER COLUMN state SET DEFAULT 'announced';
DROP TYPE shipping.state_old;
COMMIT;
