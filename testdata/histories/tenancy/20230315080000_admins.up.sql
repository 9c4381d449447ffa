ALTER TYPE tenancy.role ADD VALUE 'admin';
