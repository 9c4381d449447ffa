SELECT coalesce(host(client_addr), ''), coalesce(client_port, 0), coalesce(usename::text, ''), coalesce(application_name, '')
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
  AND application_name NOT LIKE 'pgumbra/%'
ORDER BY 1, 3, 4
