ALTER TABLE tenancy.tenants ADD locale text, ADD COLUMN theme text DEFAULT 'light' NOT NULL;
UPDATE tenancy.tenants SET locale = coalesce(settings ->> 'locale', 'en'), theme = CASE WHEN settings ? 'dark' THEN 'dark' ELSE theme END, settings = settings - 'locale' - 'dark';
