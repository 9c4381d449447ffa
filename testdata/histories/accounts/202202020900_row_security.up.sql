ALTER TABLE accounts.sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON accounts.sessions USING (user_id::text = current_setting('app.user', true));
