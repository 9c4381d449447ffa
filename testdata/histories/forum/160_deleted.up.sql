DELETE FROM forum.votes WHERE voter IN (SELECT id FROM forum.users WHERE deleted);
UPDATE forum.topics SET owner = NULL WHERE owner IN (SELECT id FROM forum.users WHERE deleted);
