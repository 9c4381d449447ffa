DELETE FROM messages.mails WHERE id IN (SELECT id FROM messages.archive);
