SELECT id, status, revision, ended, vendor FROM app.runs ORDER BY 1;
SELECT id, run, text FROM app.notes ORDER BY 1;
SELECT count(*), sum(id) FROM app.jobs;
SELECT count(*), max(name) FROM app.words;
