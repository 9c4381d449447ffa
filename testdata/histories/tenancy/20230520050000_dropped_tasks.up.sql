BEGIN;
DELETE FROM tenancy.tasks WHERE state = 'dropped';
COMMIT;
