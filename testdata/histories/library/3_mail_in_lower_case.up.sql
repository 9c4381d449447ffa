UPDATE library.readers SET mail = lower(mail) WHERE mail <> lower(mail);
CREATE DOMAIN library.mail AS text CHECK (VALUE = lower(VALUE));
ALTER TABLE library.readers ALTER COLUMN mail TYPE library.mail;
