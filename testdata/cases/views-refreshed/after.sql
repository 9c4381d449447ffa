SELECT relname, relispopulated FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind = 'm' ORDER BY 1;
