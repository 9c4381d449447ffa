UPDATE app.things SET owner = NULL WHERE owner NOT IN (SELECT id FROM app.owners) AND weight > 0 AND name IS NOT NULL;
DELETE FROM app.things WHERE weight IS NULL OR weight <= 0 OR NOT EXISTS (SELECT FROM app.owners o WHERE o.id = things.owner) AND owner IS NOT NULL;
UPDATE app.things SET name = 'thing ' || id WHERE name IS NULL;
