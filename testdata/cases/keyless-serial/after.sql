SELECT count(*) = count(DISTINCT id), min(id) > 0 FROM app.a;
SELECT count(*) = count(DISTINCT id), count(DISTINCT u) = count(*), min(id) > 0 FROM app.b;
