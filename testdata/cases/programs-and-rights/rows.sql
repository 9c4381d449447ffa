SET session_replication_role = replica;
INSERT INTO prog.accounts (owner, balance, secret) SELECT 'o' || n % 20, n, nullif('s' || n % 4, 's0') FROM generate_series(1, 300) n;
RESET session_replication_role;
INSERT INTO prog.accounts (owner, balance) VALUES ('fired', 5);
INSERT INTO prog.settings SELECT 'k' || n, jsonb_build_object('n', n) FROM generate_series(1, 20) n;
REFRESH MATERIALIZED VIEW prog.per_owner;
REFRESH MATERIALIZED VIEW prog.per_owner_again;
