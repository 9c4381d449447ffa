ALTER TABLE clinic.visits ALTER COLUMN starts TYPE timestamptz USING starts AT TIME ZONE 'Europe/Zurich', ALTER COLUMN ends TYPE timestamptz USING ends AT TIME ZONE 'Europe/Zurich';
