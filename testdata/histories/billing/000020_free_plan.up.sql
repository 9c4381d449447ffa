INSERT INTO billing.plans (code, title, price) VALUES ('free-forever', 'Free', 0) ON CONFLICT (code) DO NOTHING;
