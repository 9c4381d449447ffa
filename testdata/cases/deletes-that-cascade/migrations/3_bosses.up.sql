ALTER TABLE app.members ADD lead text NOT NULL DEFAULT 'nobody';
UPDATE app.members m SET lead = b.login FROM app.members b WHERE b.id = m.boss;
DELETE FROM app.sessions USING app.members m WHERE m.id = sessions.member AND m.boss IS NULL AND sessions.seen < '2024-01-20';
ALTER TABLE app.invoices ADD owner text;
UPDATE app.invoices SET owner = coalesce((SELECT name FROM app.tenants t WHERE t.id = invoices.tenant), 'none');
