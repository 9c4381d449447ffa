package findings

var aroundSection = Section{
	Title: "What stands around",
	Intro: "A swap rests on these. They are asked by `plan`, every few seconds while a run follows, by `status`, before the cutover's fence, and last of all right before its COMMIT.",
	Checks: []Check{
		{
			Code: "outside-dependency", Level: "blocker",
			Means: "a view, foreign key, function body, column, publication, cast or event trigger outside knows something that moves by its oid, and would go on using the old one",
			Do:    "drop it before the cutover and make it again after, or let its schema move too",
		},
		{
			Code: "temporary-object", Level: "warning; blocks a cutover",
			Means: "a session has made a temporary view, table or function that knows something that moves by its oid",
			Do:    "drop it in its session, or end that session before the cutover",
		},
		{
			Code: "publication-all-tables", Level: "blocker",
			Means: "a publication FOR ALL TABLES would publish the shadow too",
			Do:    "a table list, or drop it for the run",
		},
		{
			Code: "subscription", Level: "blocker",
			Means: "a subscription writes one of the tables, past capture. One that is made during a run stands against the cutover, and once it is dropped the table is copied again",
			Do:    "drop it, or take the table out of its publication",
		},
		{
			Code: "version-changed", Level: "blocker",
			Means: "golang-migrate's table says another version than when the plan was made, or that it is dirty: somebody migrated production in mid-run, and the swap would do to its rows once more what these migrations did",
			Do:    "`pgumbra abort`, and run again from the version that production has now; where no migration wrote anything, set the version back (golang-migrate's `force`), and the run goes on",
		},
		{
			Code: "database-changed", Level: "blocker; to another database",
			Means: "something that production's database has of its own, besides the schemas that move, came or was altered in mid-run: a setting (`ALTER DATABASE … SET`, `ALTER ROLE … IN DATABASE … SET`), its owner, limits, comment, label, a privilege on it or on what PostgreSQL and extensions brought, an extension's version, a schema, publication, subscription, foreign server, user mapping, language. The swap brings what the plan knew. Likewise the new database against a rollback, for what it got since the cutover: `--accept-loss` leaves it behind",
			Do:    "what the message says to type, or `pgumbra abort` and run again",
		},
		{
			Code: "foreign-partition", Level: "blocker",
			Means: "a partition is a foreign table",
			Do:    "detach it",
		},
		{
			Code: "function-changed", Level: "blocker",
			Means: "a function that an index, CHECK, default, generated column or transform calls while the shadow is built calls, by its text, one that the migrations change",
			Do:    "change it in a later upgrade",
		},
		{
			Code: "event-trigger", Level: "blocker, or a warning",
			Means: "an event trigger of yours refuses what a run does in production: it was tried in scratch, each by itself (blocker). Or it fires for our DDL, and refuses nothing of it, or could not be tried, for want of a superuser (warning); where it was made since the plan, it stands against a cutover",
			Do:    "let its function pass what is in the schemas `pgumbra` and `pgumbra_*`, or `ALTER EVENT TRIGGER … DISABLE` for the length of the run; see that it does not alter what we do; one that came in mid-run: drop it until the cutover, or disable it where the shadow is in the same database, or plan again",
		},
		{
			Code: "large-objects", Level: "warning or blocker",
			Means: "large objects stay as they are and are not captured; to another database they cannot be carried (blocker, and what comes in mid-run stands against the cutover)",
			Do:    "bytea columns",
		},
		{
			Code: "client-breaks", Level: "warning, or info",
			Means: "statements that work today fail after the cutover: a column (also of a view), table, view or function is dropped or renamed, a column has to be given; info: new rows that break a new constraint are refused",
			Do:    "the order in which to deploy: [application.md](application.md)",
		},
		{
			Code: "result-type-changes", Level: "warning",
			Means: "a column's type changes, also of a view: prepared statements that use it fail until their session prepares them again, which many drivers do after the first error",
			Do:    "prepare again, or `cutover.recycle_sessions: idle`",
		},
		{
			Code: "column-order", Level: "warning",
			Means: "a table that inherits came about in a way that no statements repeat: its columns come in another order",
			Do:    "name columns in INSERT and SELECT",
		},
		{
			Code: "structure-freeze", Level: "info",
			Means: "the structure of captured tables must not change during the run",
			Do:    "hold other deployments back",
		},
	},
}
