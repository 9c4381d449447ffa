UPDATE tenancy.users SET full_name = split_part(email, '@', 1) WHERE full_name IS NULL OR full_name = '';
ALTER TABLE tenancy.users ALTER full_name SET NOT NULL;
ALTER TABLE tenancy.users RENAME full_name TO display_name;
