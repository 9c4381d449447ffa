REVOKE ALL ON audit.events FROM PUBLIC;
GRANT SELECT ON accounts.groups TO PUBLIC;
COMMENT ON COLUMN accounts.users.mail IS 'as typed';
