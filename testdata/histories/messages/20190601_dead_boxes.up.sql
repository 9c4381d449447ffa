UPDATE messages.boxes SET quota = 0 WHERE deleted_at IS NOT NULL;
