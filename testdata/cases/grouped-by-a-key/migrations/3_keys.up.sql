UPDATE app.users SET plan = NULL WHERE plan NOT IN (SELECT id FROM app.plans);
DELETE FROM app.tokens WHERE owner IS NOT NULL AND owner NOT IN (SELECT id FROM app.users);
ALTER TABLE app.users ADD FOREIGN KEY (plan) REFERENCES app.plans ON DELETE SET NULL;
ALTER TABLE app.tokens ADD FOREIGN KEY (owner) REFERENCES app.users;
