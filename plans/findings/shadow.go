package findings

var shadowSection = Section{
	Title: "The shadow's database, where it is another one",
	After: "What is in production's database and may be carried over comes along in the cutover: see\n[What belongs to the database itself](another-server.md#what-belongs-to-the-database-itself).",
	Checks: []Check{
		{
			Code: "shadow-is-production", Level: "blocker",
			Means: "`production.dsn` and `shadow.dsn` lead to the same database",
			Do:    "leave `shadow.dsn` empty, or name another",
		},
		{
			Code: "shadow-version", Level: "blocker",
			Means: "the shadow's server is none of PostgreSQL 14 to 18",
			Do:    "name another server",
		},
		{
			Code: "shadow-older", Level: "blocker",
			Means: "the shadow's server is older than production's",
			Do:    "a server of at least production's version",
		},
		{
			Code: "shadow-not-empty", Level: "blocker",
			Means: "a schema that moves holds objects there already",
			Do:    "an empty database; what extensions brought, empty schemas and the control schema of earlier runs are no hindrance",
		},
		{
			Code: "shadow-privileges", Level: "blocker",
			Means: "a right is missing in the shadow's database; the fix is the statement to type there",
			Do:    "type it, plan again",
		},
		{
			Code: "shadow-restore", Level: "blocker",
			Means: "the structure was tried there, in a transaction that was rolled back, and its server refuses a part: a view or function of the older version's own catalogs or settings, mostly",
			Do:    "change it, in production or by a migration",
		},
		{
			Code: "shadow-untried", Level: "warning",
			Means: "the shadow's server has too little room for locks to try the structure in one transaction",
			Do:    "raise `max_locks_per_transaction` there",
		},
		{
			Code: "role-absent", Level: "blocker or warning",
			Means: "a role that owns or is granted something does not exist there (blocker), or one that clients may come in as or that the database itself names in a grant or setting (warning). The fix holds the statements; a password is never shown: a superuser carries its hash over with `pg_dumpall --roles-only`",
			Do:    "type them",
		},
		{
			Code: "role-differs", Level: "warning",
			Means: "a role has other attributes, memberships or settings there. SUPERUSER, and membership in a superuser, are named and never part of the statements: that is for the server's DBA to judge",
			Do:    "type what the fix says",
		},
		{
			Code: "role-password", Level: "warning",
			Means: "a role that may log in has no password there",
			Do:    "type what the fix says",
		},
		{
			Code: "shadow-encoding", Level: "blocker",
			Means: "the two databases have different encodings",
			Do:    "make the shadow's anew",
		},
		{
			Code: "shadow-locale", Level: "warning",
			Means: "text sorts and folds by another locale there. Nothing becomes unequal that was equal; ORDER BY, text ranges, bounds of partitions, `upper()` and `lower()` may differ",
			Do:    "make it anew, or see that clients do not care",
		},
		{
			Code: "locale-key", Level: "blocker",
			Means: "what a unique index takes for equal depends on the locale (`citext`, `lower()`, a collation that is not deterministic), and provider, locale or version differ: two rows could become one",
			Do:    "the same locale and version there, or another form of the key",
		},
		{
			Code: "shadow-locale-version", Level: "info",
			Means: "the same locale in another version; indexes are built anew",
		},
		{
			Code: "collation-absent", Level: "blocker",
			Means: "columns use a collation of the operating system that its server does not have",
			Do:    "install the locale there",
		},
		{
			Code: "extension-absent", Level: "blocker",
			Means: "its server does not offer an extension that production has",
			Do:    "install its files there",
		},
		{
			Code: "extension-version", Level: "info",
			Means: "the shadow gets the version that its server offers",
		},
		{
			Code: "extension-rows", Level: "warning",
			Means: "an extension keeps rows of yours in a table of its own; they are not carried over",
			Do:    "copy them by hand",
		},
		{
			Code: "tablespace-absent", Level: "warning",
			Means: "its server has no tablespace of that name: what is in it goes to the default one",
			Do:    "CREATE TABLESPACE there before the run",
		},
		{
			Code: "setting-differs", Level: "warning",
			Means: "a setting that clients notice is another one there, or `max_connections` and its like are smaller",
			Do:    "set it, or leave it",
		},
		{
			Code: "database-setting", Level: "warning",
			Means: "a setting, privilege or comment of the database itself, or the owner, a privilege or the comment of a schema that is there already, cannot be carried over: we may not, its role is not there, the newer server does not know it. The cutover leaves it out",
			Do:    "type what the fix says",
		},
		{
			Code: "needs-outside", Level: "blocker",
			Means: "something that moves is made of something in a schema that does not move",
			Do:    "add that schema to `production.schemas`",
		},
		{
			Code: "left-behind", Level: "warning",
			Means: "a schema that is not in `production.schemas` stays on the old server",
			Do:    "add it, or carry over what clients need",
		},
		{
			Code: "not-carried", Level: "warning",
			Means: "event triggers, publications, subscriptions, foreign servers, languages, casts, transforms: of the database, not of a schema; and what was granted or revoked of functions, tables and types that PostgreSQL or an extension brought",
			Do:    "make them by hand",
		},
		{
			Code: "function-names-schema", Level: "blocker",
			Means: "a function that runs while the shadow is built names, in its text, tables or functions of yours, which are not there before the cutover",
			Do:    "BEGIN ATOMIC",
		},
		{
			Code: "function-search-path", Level: "warning",
			Means: "from PostgreSQL 17 on, indexes are built and views refreshed under a safe search_path: a function that calls an extension's by its bare name fails",
			Do:    "ALTER FUNCTION … SET search_path",
		},
		{
			Code: "type-oids", Level: "info",
			Means: "your types have other oids there, which some drivers keep for the life of a connection",
			Do:    "have such clients reconnect",
		},
		{
			Code: "object-reference", Level: "blocker, or a warning where it could not be looked up in ten seconds",
			Means: "a column of type `regclass`, `regtype`, `regproc` or the like, or of a composite type, domain or array made of them, holds values that name objects of yours: the shadow's database has none of these names before the cutover, so the copy would fail; in the same database the new objects have other numbers than the old ones, which the values would go on naming (a column of type `oid` with such numbers: a warning). Built-in objects, extensions' and roles are no hindrance. In the same database a row that comes to hold such a value in mid-run is a difference to verification, which tells its key, and stands against the cutover",
			Do:    "make the column text",
		},
		{
			Code: "server-numbers", Level: "warning",
			Means: "a column of type `oid`, `xid`, `xid8`, `tid`, `pg_lsn` or `pg_snapshot` holds numbers that mean something on one server only; they are copied as they are. An outbox that compares `xid8` with `pg_snapshot_xmin(pg_current_snapshot())` may find all of its rows in the future",
			Do:    "see that nothing compares them with what the server says of itself",
		},
		{
			Code: "bypasses-pool", Level: "warning",
			Means: "sessions reach production past PgBouncer: the switch does not reach them, and after the cutover production refuses their writes (SQLSTATE 25006)",
			Do:    "connect them through the pool, or stop them before the cutover",
		},
		{
			Code: "no-traffic", Level: "warning",
			Means: "neither `traffic.pgbouncer` nor `traffic.command`: after the cutover the old server rejects writes, and its error names the new one",
			Do:    "set one of them, or lead clients over by hand",
		},
	},
}
