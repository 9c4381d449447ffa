-- Since when somebody wants the copy to pause; null: nobody does.
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS paused_at timestamptz;

-- Where a run stood from time to time, for the report of it: rows copied and
-- compared so far, changes that were not replayed yet and what the journals took,
-- changes a second. Taken less and less often, so that a run of weeks keeps some
-- hundreds.
CREATE TABLE IF NOT EXISTS pgumbra.sample (
    run_id            bigint NOT NULL REFERENCES pgumbra.run ON DELETE CASCADE,
    at                timestamptz NOT NULL DEFAULT clock_timestamp(),
    phase             text NOT NULL,
    rows_copied       bigint NOT NULL,
    rows_verified     bigint NOT NULL,
    pending           bigint NOT NULL,
    journal_bytes     bigint NOT NULL,
    rate_in           double precision NOT NULL,
    rate_out          double precision NOT NULL,
    PRIMARY KEY (run_id, at)
);
