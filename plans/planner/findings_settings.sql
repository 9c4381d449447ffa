SELECT name, setting, source
FROM pg_catalog.pg_settings
WHERE name IN ('default_text_search_config', 'TimeZone', 'timezone_abbreviations', 'DateStyle', 'IntervalStyle', 'lc_messages', 'lc_monetary',
               'lc_numeric', 'lc_time', 'standard_conforming_strings', 'backslash_quote', 'array_nulls', 'transform_null_equals', 'bytea_output',
               'xmlbinary', 'xmloption', 'extra_float_digits', 'search_path', 'row_security', 'default_transaction_isolation',
               'default_transaction_read_only', 'default_transaction_deferrable', 'synchronous_commit', 'check_function_bodies',
               'session_replication_role', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'password_encryption',
               'max_connections', 'max_locks_per_transaction', 'max_prepared_transactions', 'shared_preload_libraries')
