ALTER TABLE tenancy.projects ADD tasks bigint NOT NULL DEFAULT 0, ADD next_due timestamptz, ADD first_task bigint;
WITH open AS (SELECT project_id, count(*) AS n, min(due) AS due FROM tenancy.tasks WHERE state IN ('todo', 'doing') GROUP BY project_id)
UPDATE tenancy.projects p SET tasks = open.n, next_due = open.due FROM open WHERE open.project_id = p.id;
UPDATE tenancy.projects p SET first_task = (SELECT t.id FROM tenancy.tasks t WHERE t.project_id = p.id ORDER BY t.due NULLS LAST, t.id LIMIT 1);
