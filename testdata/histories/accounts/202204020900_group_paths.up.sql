ALTER TABLE accounts.groups ADD COLUMN path text;
UPDATE accounts.groups g SET path = coalesce((SELECT p.name || '/' FROM accounts.groups p WHERE p.id = g.parent), '') || g.name;
