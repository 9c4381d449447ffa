-- Of a run that follows: a hash over the functions, operators, casts and types that its
-- expressions may use, as they were when the proofs of its tables began. Empty: none
-- has begun.
ALTER TABLE pgumbra.run ADD COLUMN IF NOT EXISTS meaning text NOT NULL DEFAULT '';
