UPDATE app.pages SET title = title;
CREATE INDEX ON app.pages USING gin (search);
