ALTER TABLE app.things ADD owner_name text;
UPDATE app.things t SET owner_name = o.name FROM app.owners o WHERE o.id = t.owner;
ALTER TABLE app.owners ADD load bigint;
UPDATE app.owners SET load = (SELECT sum(weight) FROM app.things t WHERE t.owner = owners.id);
