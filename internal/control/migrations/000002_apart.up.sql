-- In the control schema of a shadow in another database: which production its
-- positions are of. Null in production's own.
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS origin json;

-- How far a cutover to another database came, and what undoes each step; null
-- outside of one. Noted before and after each step.
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS switch json;
