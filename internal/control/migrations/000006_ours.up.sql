-- When the backends began: pids are given again. In the order of backends; empty
-- where an older pgumbra noted these.
ALTER TABLE pgumbra.leader ADD COLUMN IF NOT EXISTS started timestamptz[] NOT NULL DEFAULT '{}';

-- The triggers that keep all but ourselves from writing to the shadow's tables,
-- as they were made: whoever disables one, or makes it anew, writes its row.
CREATE TABLE IF NOT EXISTS pgumbra.gate (
    run_id            bigint NOT NULL REFERENCES pgumbra.run ON DELETE CASCADE,
    relation          oid NOT NULL,
    trigger           oid NOT NULL,
    made              text NOT NULL, -- xmin of its row
    PRIMARY KEY (run_id, relation)
);
