ALTER TABLE accounts.groups ADD COLUMN members bigint;
UPDATE accounts.groups SET members = 0;
UPDATE accounts.groups g SET members = m.n FROM (SELECT group_id, count(*) AS n FROM accounts.members GROUP BY group_id) m WHERE m.group_id = g.id;
ALTER TABLE accounts.groups ALTER COLUMN members SET NOT NULL;
