DELETE FROM messages.outbox o WHERE NOT EXISTS (SELECT FROM messages.mails m WHERE m.id = o.mail);
