-- A shadow table that is proved is so up to this snapshot of production: keys that
-- journals name after it are to be proved again. It moves with position, in the
-- same transaction, or behind it. Null: no proof was begun, or it was taken back.
-- verified_at is null until a proof is complete, then the moment of that snapshot.
ALTER TABLE pgumbra.shadow_table ADD COLUMN IF NOT EXISTS proved pg_snapshot;
ALTER TABLE pgumbra.shadow_table ADD COLUMN IF NOT EXISTS proved_at timestamptz;

-- How far the proof of a shadow table came: on the shadow's side, with a copy in
-- production. Apart from shadow_table, whose row each batch holds.
CREATE TABLE IF NOT EXISTS pgumbra.proof (
    run_id            bigint NOT NULL REFERENCES pgumbra.run ON DELETE CASCADE,
    n                 integer NOT NULL,
    -- how often a proof was begun with the first key
    pass              integer NOT NULL,
    -- the last key that is proved, as text; null: none yet
    upto              text[],
    rows              bigint NOT NULL DEFAULT 0,
    done              boolean NOT NULL DEFAULT false,
    -- a pass over a table whose proof is complete, and holds meanwhile: what it
    -- proves is so up to this snapshot. Null: the pass is of the proof itself.
    renewal           pg_snapshot,
    renewal_at        timestamptz,
    -- of comparing, of a table that is compared as a whole
    seconds           double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, n)
);
