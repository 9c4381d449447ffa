WITH twice AS (SELECT name, born, min(id) AS keep FROM clinic.patients WHERE born IS NOT NULL GROUP BY name, born HAVING count(*) > 1)
UPDATE clinic.visits v SET patient = t.keep FROM clinic.patients p JOIN twice t ON t.name = p.name AND t.born = p.born WHERE p.id = v.patient AND p.id <> t.keep;
DELETE FROM clinic.patients p USING clinic.patients o WHERE o.name = p.name AND o.born = p.born AND o.id < p.id;
