-- Which database the shadow is in, where it is another one: noted once, before
-- anything is made there.
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS shadow json;
