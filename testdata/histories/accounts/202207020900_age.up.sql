UPDATE accounts.users SET born = NULL WHERE born > DATE '2020-01-01';
ALTER TABLE accounts.users ADD CONSTRAINT users_born CHECK (born <= DATE '2020-01-01');
