// Package traffic leads clients from one database to another: by PgBouncer's
// database entry, by a command of the user's, by both, or not at all where
// people do it themselves.
//
// It never ends a client, never reads or writes a database, and never believes
// an answer that can be checked: a PAUSE counts when the pools are idle, a
// RELOAD when SHOW DATABASES shows the new place.
//
// Order of calls: [Open]; [Traffic.Inspect] and [Traffic.Steps] for the dry
// run; in a cutover [Traffic.Pause] and [Traffic.Switch], which are undone
// everywhere if they fail anywhere; once it is decided where clients belong,
// [Traffic.Settle]; [Traffic.Side] after a crash;
// [Traffic.Finish] when no way back is wanted any more.
//
// # What a command is told
//
// traffic.command is started without a shell, with this in its environment:
//
//	PGUMBRA_RUN          the run's name
//	PGUMBRA_STEP         switch: lead clients to the shadow; back: to production
//	PGUMBRA_FROM_HOST    where clients are led now,
//	PGUMBRA_FROM_PORT
//	PGUMBRA_FROM_DBNAME
//	PGUMBRA_TO_HOST      and where to lead them
//	PGUMBRA_TO_PORT
//	PGUMBRA_TO_DBNAME
//
// It ends with 0 when clients are led to the new place. Anything else undoes
// the cutover, and the command is run with PGUMBRA_STEP=back: which must do no
// harm where the switch did nothing, or half its work.
package traffic
