-- Swaps whose outcome another one of their kind takes the place of: a cutover before a
-- second one, a rollback before a second one. Outcomes as in cutover and rollback, with
-- the kind in "swap".
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS earlier jsonb NOT NULL DEFAULT '[]';
