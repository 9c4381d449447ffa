WITH {{scope}}
SELECT p.pubname::text, '' FROM pg_catalog.pg_publication p, asked WHERE p.puballtables ORDER BY 1
