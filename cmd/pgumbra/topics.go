package main

import "github.com/spf13/cobra"

// topics are read by pgumbra help TOPIC.
func topics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What each exit code says, and what to do then", Long: exitCodesTopic},
		{Use: "environment", Short: "Variables that pgumbra reads, and that it gives to commands of yours", Long: environmentTopic},
	}
}

const exitCodesTopic = `  0    Done. Also: nothing to do, since production is at the newest version; a
       cutover of a run that is over; status and abort where there is no run.
  1    Error: cannot connect or log in, a command that does not fit the phase,
       anything unforeseen. Nothing half done is left: the same command goes on.
  2    Usage, the plan file, its variables, or the migrations folder: all that is
       found without a server. The message names file and line.
  3    A look into a database shows it: blockers of the dry run, a migration that
       fails, missing privileges with the GRANT to type; differences that verify
       found. Never cut over after differences: pgumbra abort.
  4    Another live process leads this run: pgumbra status says where. A dead one
       is taken over by itself.
  5    The outcome is unknown and a human must look: docs/what-if.md says where.
  6    A cutover or rollback was not possible now, and nothing has changed. Try again:
       pgumbra cutover --check says what stands against it.
  130  Interrupted. State is kept; triggers stay until pgumbra run goes on and
       comes to the cutover, or pgumbra abort removes them.`

const environmentTopic = `PGUMBRA_<KEY> sets a key of the plan file, with _ for its dots: PGUMBRA_PRODUCTION_DSN,
PGUMBRA_COPY_WORKERS. It wins over the file; --set KEY=VALUE wins over it.

PGHOST, PGPORT, PGUSER, PGPASSWORD, PGSSLMODE and other variables of libpq count
where a connection string leaves them out, and so does ~/.pgpass.

No other variable changes what pgumbra does to a database.

Hooks (hooks.ready, before_cutover, after_cutover, stopped) find in theirs:

PGUMBRA_EVENT         ready, before_cutover, after_cutover or stopped
PGUMBRA_RUN           the run's name
PGUMBRA_DATABASE      of a group, which database tells it
PGUMBRA_PHASE         its phase
PGUMBRA_FROM_VERSION  of the migrations, and PGUMBRA_TO_VERSION
PGUMBRA_STALL_MS      how long writers waited, and PGUMBRA_ATTEMPTS: after_cutover
PGUMBRA_REASON        why the run stopped: stopped

traffic.command, which leads clients to another server, finds:

PGUMBRA_RUN           the run's name
PGUMBRA_STEP          switch: lead clients to the new server; back: to the old one
PGUMBRA_FROM_HOST     where they are, with _PORT and _DBNAME
PGUMBRA_TO_HOST       where they go, with _PORT and _DBNAME`
