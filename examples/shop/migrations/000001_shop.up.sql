-- The baseline: databases at version 1 have it.
SELECT 1;
