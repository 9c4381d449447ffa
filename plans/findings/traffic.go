package findings

var trafficSection = Section{
	Title: "Leading the clients over",
	Intro: "With another server. They are asked by `plan`, about once a minute while a process follows (`status` lists them), and before the fence of each attempt.",
	Checks: []Check{
		{
			Code: "pgbouncer-unreachable", Level: "blocker",
			Means: "the admin console does not answer",
			Do:    "correct `traffic.pgbouncer.admin_dsn`; it leads to PgBouncer itself",
		},
		{
			Code: "pgbouncer-login", Level: "blocker",
			Means: "the admin console refuses the login",
			Do:    "a user of `admin_users`, with its password",
		},
		{
			Code: "pgbouncer-rights", Level: "blocker",
			Means: "the console lets its user look, but not PAUSE and RELOAD",
			Do:    "a user of `admin_users`, not of `stats_users` alone",
		},
		{
			Code: "pgbouncer-config", Level: "blocker",
			Means: "the configuration file cannot be read from here, or PgBouncer cannot load it",
			Do:    "run pgumbra where the file is, as a user who may; or `traffic.command`",
		},
		{
			Code: "pgbouncer-config-write", Level: "blocker",
			Means: "the configuration file cannot be replaced from here",
			Do:    "run pgumbra where the file is, as a user who may write its folder; or `traffic.command`",
		},
		{
			Code: "pgbouncer-config-other", Level: "warning",
			Means: "PgBouncer says that its configuration is another file",
			Do:    "make sure that both are one, seen from two places",
		},
		{
			Code: "pgbouncer-entry", Level: "blocker",
			Means: "the file has no entry of that name",
			Do:    "correct `traffic.pgbouncer.database` or `config`",
		},
		{
			Code: "pgbouncer-fallback", Level: "blocker",
			Means: "the entry `*` serves the database",
			Do:    "write one of its own",
			Bad: `[databases]
* = host=db1`,
			Good: `[databases]
shop = host=db1 dbname=shop
* = host=db1`,
		},
		{
			Code: "pgbouncer-other-entry", Level: "blocker",
			Means: "another entry of the file leads to production's database too",
			Do:    "add it to the list `traffic.pgbouncer`, or take it out",
		},
		{
			Code: "pgbouncer-elsewhere", Level: "blocker",
			Means: "the entry, or `target`, leads to another database than the plan's",
			Do:    "correct the plan file",
		},
		{
			Code: "pgbouncer-not-checked", Level: "warning",
			Means: "whether the entry leads to production's database, or `target` to the shadow's, cannot be looked at from here",
			Do:    "make sure that PgBouncer reaches it",
		},
		{
			Code: "pgbouncer-pending", Level: "blocker",
			Means: "what is written is not in force: PgBouncer leads elsewhere than its file says",
			Do:    "RELOAD",
		},
		{
			Code: "pgbouncer-paused", Level: "blocker",
			Means: "the database is paused",
			Do:    "find out by whom, then RESUME",
		},
		{
			Code: "pgbouncer-disabled", Level: "blocker",
			Means: "the database is disabled",
			Do:    "find out by whom, then ENABLE",
		},
		{
			Code: "pgbouncer-kept", Level: "blocker",
			Means: "the entry as it was before the switch cannot be read",
			Do:    "make the file readable",
		},
		{
			Code: "pgbouncer-pool-mode", Level: "blocker",
			Means: "session pooling: PAUSE would wait until the last client leaves",
			Do:    "transaction pooling",
			Bad:   `pool_mode = session`,
			Good:  `pool_mode = transaction`,
		},
		{
			Code: "pgbouncer-user-pool-mode", Level: "blocker or warning",
			Means: "a user has session pooling of its own: while it is connected, PAUSE waits",
			Do:    "transaction pooling for that user, or disconnect it before the cutover",
		},
		{
			Code: "pgbouncer-wait-timeout", Level: "blocker",
			Means: "`query_wait_timeout` or another limit would break clients off that wait: it must be larger than `cutover.max_stall` and a second",
			Do:    "raise it, or lower `cutover.max_stall`",
			Bad:   `query_wait_timeout = 2`,
			Good:  `query_wait_timeout = 120`,
		},
		{
			Code: "pgbouncer-shared-port", Level: "blocker",
			Means: "several PgBouncers may share the port",
			Do:    "list each, by its own socket",
		},
		{
			Code: "pgbouncer-user-login", Level: "blocker, or a warning for who has no pool and is not in `auth_file`",
			Means: "a user gets in in production and would not at the new place: a login with the password that PgBouncer has is refused, the role is not there, may not log in or has expired, `pg_hba.conf` refuses it, or asks for what PgBouncer has not",
			Do:    "what the fix says: a role, a password, a line of `pg_hba.conf`",
		},
		{
			Code: "pgbouncer-user-secret", Level: "blocker, or a warning for who has no pool and is not in `auth_file`",
			Means: "PgBouncer has a SCRAM secret or md5 hash of the user, from `auth_file` or `auth_query`, and the shadow's server has another one. With SCRAM the password may be the same: each `ALTER ROLE … PASSWORD` makes another secret",
			Do:    "carry the hash over unread: `pg_dumpall --roles-only`",
		},
		{
			Code: "pgbouncer-user-unknown", Level: "warning",
			Means: "the secrets cannot be compared, for want of rights",
			Do:    "compare `pg_authid.rolpassword` as a superuser",
		},
		{
			Code: "pgbouncer-connection-limit", Level: "blocker or warning",
			Means: "a role or the shadow's database takes fewer sessions than a pool may have, and than in production",
			Do:    "ALTER ROLE … CONNECTION LIMIT",
		},
		{
			Code: "pgbouncer-auth-query", Level: "blocker",
			Means: "`auth_query` answers in production and not at the new place: its function stays behind, `auth_user` may not execute it, or does not get in. A function in a schema that moves comes with the swap",
			Do:    "make it there",
		},
		{
			Code: "pgbouncer-auth-function", Level: "warning",
			Means: "its function is another one there",
			Do:    "see that it lets in whom it is to let in",
		},
		{
			Code: "pgbouncer-auth-dbname", Level: "warning",
			Means: "`auth_query` is asked in an entry that the cutover does not redirect",
			Do:    "redirect it by hand, before the old server goes",
		},
		{
			Code: "pgbouncer-auth-file", Level: "warning",
			Means: "`auth_file` cannot be read from here",
			Do:    "make it readable for pgumbra",
		},
		{
			Code: "traffic-command", Level: "blocker",
			Means: "`traffic.command` cannot be started",
			Do:    "install it, or write its full path",
		},
	},
}
