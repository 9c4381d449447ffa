ALTER TABLE metrics.sensors ADD COLUMN hall text, ADD COLUMN spot text;
UPDATE metrics.sensors SET hall = split_part(place, '/', 1), spot = nullif(split_part(place, '/', 2), '');
