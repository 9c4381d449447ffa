ALTER TABLE messages.boxes ADD COLUMN used bigint NOT NULL DEFAULT 0;
UPDATE messages.boxes b SET used = coalesce((SELECT sum(m.bytes) FROM messages.mails m WHERE m.box = b.id AND NOT m.deleted), 0);
