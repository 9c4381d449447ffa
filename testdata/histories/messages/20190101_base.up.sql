CREATE SCHEMA messages;
CREATE TABLE messages.boxes (id serial PRIMARY KEY, owner text NOT NULL, kind smallint, quota int, deleted_at timestamptz);
CREATE TABLE messages.mails (id bigserial PRIMARY KEY, box int NOT NULL REFERENCES messages.boxes, subject text, head jsonb NOT NULL, body text, received timestamptz NOT NULL DEFAULT now(), deleted boolean NOT NULL DEFAULT false);
CREATE TABLE messages.outbox (mail bigint, target text, tries int NOT NULL DEFAULT 0, queued timestamptz);
CREATE TABLE messages.labels (mail bigint NOT NULL REFERENCES messages.mails ON DELETE CASCADE, label text NOT NULL, PRIMARY KEY (mail, label));
CREATE INDEX mails_box ON messages.mails (box);
CREATE INDEX outbox_mail ON messages.outbox (mail);
