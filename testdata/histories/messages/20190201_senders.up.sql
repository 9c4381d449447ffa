ALTER TABLE messages.mails ADD COLUMN sender text, ADD COLUMN bytes int;
UPDATE messages.mails SET sender = head ->> 'from', bytes = (head ->> 'size')::int;
