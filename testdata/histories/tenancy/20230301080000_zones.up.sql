SET TIME ZONE 'Europe/Zurich';
ALTER TABLE tenancy.tasks ALTER due TYPE timestamptz;
RESET TIME ZONE;
