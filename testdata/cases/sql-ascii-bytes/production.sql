CREATE SCHEMA app;
CREATE TABLE app."straßen" (id serial PRIMARY KEY, "länge" int, t text DEFAULT 'ß');
COMMENT ON TABLE app."straßen" IS 'Straßen';
CREATE TABLE app.keys (k text PRIMARY KEY, n int);
CREATE TABLE app.loose (t text);
