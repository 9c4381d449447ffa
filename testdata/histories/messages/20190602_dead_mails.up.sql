DELETE FROM messages.mails m USING messages.boxes b WHERE b.id = m.box AND b.deleted_at IS NOT NULL AND m.deleted;
