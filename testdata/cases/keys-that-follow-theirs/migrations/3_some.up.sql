ALTER TABLE app.visits ADD COLUMN c text;
UPDATE app.visits SET c = place;
UPDATE app.places SET at.city = upper((at).city) WHERE id % 2 = 0;
UPDATE app.places SET tags[1] = 'first', at = ROW('none', (at).city) WHERE id % 5 = 0;
