-- How the rollback is to be done that cutover_requested asks for: "follow", whether
-- the new side is followed again afterwards; "accept_loss", whether what does not
-- come back is left behind.
ALTER TABLE pgumbra.leader ADD COLUMN IF NOT EXISTS rollback_as json;

-- Rows of the new tables that the old ones cannot hold, or not as they are, by the
-- number of the way back's table.
CREATE TABLE IF NOT EXISTS pgumbra.unfit (
    run_id            bigint NOT NULL REFERENCES pgumbra.run ON DELETE CASCADE,
    n                 integer NOT NULL,
    key               text[] NOT NULL, -- the new row's, as text
    why               text NOT NULL,
    left_out          boolean NOT NULL, -- replay leaves the old row as it is
    at                timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, n, key)
);
