SET search_path = other, app;
UPDATE t SET c = norm(c);
SET search_path = app, other;
UPDATE t SET d = norm(d);
RESET search_path;
