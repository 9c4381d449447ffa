ALTER TABLE accounts.sessions SET SCHEMA audit;
ALTER TABLE audit.sessions RENAME TO logins;
