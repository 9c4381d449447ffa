-- What the last trial of the migrations that run behind the fence has shown.
ALTER TABLE pgumbra.leader ADD COLUMN IF NOT EXISTS trial json;
ALTER TABLE pgumbra.leader ADD COLUMN IF NOT EXISTS tried_at timestamptz;
