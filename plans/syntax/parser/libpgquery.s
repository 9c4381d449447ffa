// Lets libpgquery.go declare functions without bodies, which are linked by name.
