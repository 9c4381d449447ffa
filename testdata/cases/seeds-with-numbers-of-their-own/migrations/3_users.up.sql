UPDATE app.users SET mail = lower(mail);
