-- Why a table that was proved equal no longer counts as such, until the next
-- proof: verified_at is null meanwhile. With recopy, what it was fed by was written
-- past capture, and the table is copied again once that has ended. In production's
-- control schema alone.
CREATE TABLE IF NOT EXISTS pgumbra.doubt (
    run_id            bigint NOT NULL REFERENCES pgumbra.run ON DELETE CASCADE,
    n                 integer NOT NULL,
    why               text NOT NULL,
    recopy            boolean NOT NULL,
    at                timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, n)
);
