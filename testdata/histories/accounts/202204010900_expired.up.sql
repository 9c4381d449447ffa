DELETE FROM accounts.sessions WHERE expires < '2021-01-01';
