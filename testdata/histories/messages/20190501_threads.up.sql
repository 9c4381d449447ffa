ALTER TABLE messages.mails ADD COLUMN topic text GENERATED ALWAYS AS (regexp_replace(coalesce(subject, ''), '^((re|aw|fwd): *)+', '', 'i')) STORED;
CREATE INDEX mails_topic ON messages.mails (md5(topic));
