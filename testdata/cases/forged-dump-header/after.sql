SELECT count(*) FROM pg_roles WHERE rolname = 'case_forged';
SELECT app.harmless();
