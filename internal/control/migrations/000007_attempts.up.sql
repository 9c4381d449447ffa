-- Attempts at the cutover that took time from clients, and how much in all: from
-- each first lock request (or hold of clients) until they went on.
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS attempts integer NOT NULL DEFAULT 0;
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS held_ms double precision NOT NULL DEFAULT 0;
