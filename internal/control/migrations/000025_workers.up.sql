-- How many sessions copy at once, as somebody asked for in mid-run; null: as the plan
-- file says.
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS workers integer;
-- Since when the leader tries the swap on the shadow; null: it does not.
ALTER TABLE pgumbra.leader ADD COLUMN IF NOT EXISTS trying_since timestamptz;
