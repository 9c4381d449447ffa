CREATE INDEX CONCURRENTLY members_name_lower ON forum.members (name_lower);
