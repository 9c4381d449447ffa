-- Which way rows go: shadow_table, proof and doubt are of this flow. It changes in
-- the swapping transaction, to 'reverse' where the old side is to be kept current.
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS flow text NOT NULL DEFAULT 'forward' CHECK (flow IN ('forward', 'reverse'));

-- What the swap has taken from the old side, for whoever goes back to give it again.
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS taken json;

-- The outcome of a rollback, as cutover is that of the swap. Its member "tidied" says
-- that nothing is left to be done after it.
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS rollback json;

-- Rows that the old side refuses: the reverse flow of the table stands still at the
-- batch that holds them, until they are mended.
CREATE TABLE IF NOT EXISTS pgumbra.refusal (
    run_id            bigint NOT NULL REFERENCES pgumbra.run ON DELETE CASCADE,
    n                 integer NOT NULL,
    key               text NOT NULL,
    why               text NOT NULL,
    at                timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, n)
);
