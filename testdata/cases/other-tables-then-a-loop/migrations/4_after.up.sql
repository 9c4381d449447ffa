UPDATE app.owners o SET load = o.load + s.n FROM (SELECT owner, count(*) AS n FROM app.things WHERE kind = 'spare' GROUP BY 1) s WHERE s.owner = o.id;
ALTER TABLE app.things DROP COLUMN owner;
