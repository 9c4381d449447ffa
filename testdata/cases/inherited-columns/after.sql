SELECT attrelid::regclass || ': ' || string_agg(format('%s%s%s', attname, attinhcount, attislocal), ', ' ORDER BY attnum)
FROM pg_attribute WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r') AND attnum > 0 AND NOT attisdropped
GROUP BY attrelid ORDER BY 1;
