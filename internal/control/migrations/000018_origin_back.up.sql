-- Of a run to another database, on both sides, from the swap on: which new database
-- the positions of the way back are of.
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS origin_back json;
