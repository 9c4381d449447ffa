ALTER TABLE messages.mails ADD COLUMN seen boolean NOT NULL DEFAULT false;
UPDATE messages.mails SET seen = true WHERE head -> 'flags' ? 'seen';
