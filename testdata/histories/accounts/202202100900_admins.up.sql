UPDATE accounts.members SET admin = false WHERE admin IS NULL;
ALTER TABLE accounts.members ALTER COLUMN admin SET NOT NULL, ALTER COLUMN admin SET DEFAULT false;
