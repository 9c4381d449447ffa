package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
)

const rollbackHelp = `After the cutover the old tables are kept current: what clients write to the new
ones is taken back by their journals, through the plan's reverse mapping. pgumbra
rollback is the cutover the other way: it brings the old side up to date, compares
it, locks the new tables for milliseconds, replays what is left, sets the
sequences, and swaps the names back. All of it is one transaction: it happened or it
did not. From another server PgBouncer (or traffic.command) leads clients back: they
are held, the new server refuses writes, and the old one's commit decides. Where
pgumbra run leads the watch, it does the work and this command waits for it;
otherwise this command does it by itself.

The old schema is then what it was before the upgrade: structure, privileges,
triggers, golang-migrate's version. The new side stays, as schema
pgumbra_<run>_<schema>, or on its server under the names that it has, and refuses
writes: pgumbra finish --drop-old drops it, and so does the next pgumbra run of this
name; --drop drops it at once.

With --follow the run is not over: the new side is a shadow again,
in phase following, and takes what clients write to the old one from the moment of
the rollback on. Nothing is copied again but tables whose rows did not come back, or came
back changed; columns that only the new side has keep what clients wrote there, unless
the migrations make them of old columns: then they are made anew. pgumbra status says
which.
pgumbra cutover then goes forward a second time, and pgumbra abort drops the shadow.
On another server its schemas have the shadow's names again until then.

What comes back: every row and column that the new tables hold in some form. A
column that the migrations dropped keeps the value that it had for rows that were
there, and is the old column's default in new ones; pgumbra plan and pgumbra status
list those. A table whose rows do not come back at all stands against a rollback
(exit code 3), unless --accept-loss leaves behind what was written to it.

A row that the old structure cannot hold (a number too large for the old type, one
that an old CHECK refuses) is named by pgumbra status as soon as it is written. The
others go on; the old side keeps what it had of that row. A rollback is refused (exit
code 6) until it is changed or deleted where it is now, unless --accept-loss leaves it
behind. What types and checks do not tell (a duplicate that the old unique index
refuses) stops its table, and nothing else, until it is corrected.

All tables go back, never some of them: no version of the migrations describes a
structure of old tables beside new ones. To have one table as it was and keep the
rest, write a migration that makes it so, and upgrade to that.

There is no way back before a cutover and after pgumbra finish. Where migrations ran
behind the fence, tables of which they changed no key go back; pgumbra plan names the
others, which stay as they were at the cutover: rollback names them again, and wants
--accept-loss. --follow is refused then.`

func (a *app) rollbackCommand() *cobra.Command {
	var as control.RollbackAs
	var drop bool
	c := &cobra.Command{
		Use:   "rollback",
		Short: "Go back to the old side after the cutover, with every write made since",
		Long:  rollbackHelp,
		Example: `  pgumbra status          # what a rollback would lose
  pgumbra rollback
  pgumbra rollback --follow && pgumbra cutover
  pgumbra finish --drop-old`,
		Args: a.wholeRollback,
		RunE: func(c *cobra.Command, _ []string) error {
			file, g, err := a.loadGroup()
			if err != nil {
				return err
			}
			defer a.tellWaits(c.Context(), file)()
			if drop && as.Follow {
				return &usageError{errors.New("--follow goes on with the new side and --drop drops it: choose one")}
			}
			o := upgrade.Options{As: as, Log: a.log}
			if g != nil {
				return a.groupWork(c.Context(), file, g, beside, func() error {
					if err := g.Rollback(c.Context(), o); err != nil || !drop {
						return err
					}
					return g.Finish(c.Context(), cutover.DropOld, upgrade.KeepRecord)
				})
			}
			err = a.withProgress(c.Context(), file, beside, func() error { return upgrade.Rollback(c.Context(), file, o) })
			if err == nil && drop {
				err = upgrade.Finish(c.Context(), file, cutover.DropOld, upgrade.KeepRecord, a.log)
			}
			if err != nil {
				return err
			}
			return a.sayRolledBack(c.Context(), file, drop)
		},
	}
	c.Flags().BoolVar(&as.AcceptLoss, "accept-loss", false, "leave behind what the old side cannot hold, and tables whose rows do not come back")
	c.Flags().BoolVar(&as.Follow, "follow", false, "follow the new side again, for a second cutover")
	c.Flags().BoolVar(&drop, "drop", false, "drop the new side afterwards")
	return c
}

// wholeRollback refuses a choice of tables: see docs/decisions/0063-a-rollback-is-whole.md.
func (a *app) wholeRollback(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	a.command = c.Name()
	return &usageError{fmt.Errorf("rollback takes no tables, got %q: all of them go back, since no version of the migrations describes some old tables beside some new ones; "+
		"to have one table as it was and keep the rest, write a migration that makes it so and upgrade to that", strings.Join(args, " "))}
}

func (a *app) sayRolledBack(ctx context.Context, file *planfile.File, dropped bool) error {
	s, err := upgrade.ReadStatus(ctx, file)
	if err != nil {
		return err
	}
	if a.json {
		return json.NewEncoder(os.Stdout).Encode(s)
	}
	next := a.nextOf(s)
	if dropped {
		next = "pgumbra run" + a.planFlag() + " begins another one"
	}
	return say(rollbackText(s) + spentText(s.Rollback) + "\nNext: " + next)
}

// spentText is a line about what a stall was spent on; empty: it is not known.
func spentText(outcome json.RawMessage) string {
	if o, ok := readOutcome(outcome); ok && o.Spent() != "" {
		return "\nStall: " + o.Spent() + "."
	}
	return ""
}

func rollbackText(s *upgrade.Status) string {
	o, ok := readOutcome(s.Rollback)
	if !ok {
		return ""
	}
	return fmt.Sprintf("The old side is production again: attempt %d, %.1f ms stall (%.1f ms for the locks), %s drained.",
		o.Attempts, o.StallMS, o.LockWaitMS, human.Plural(o.Drained, "change"))
}

// isBack: the last swap of the run was its rollback. By the phase, not by the times that
// the swaps were noted with: a server's clock may be set back.
func isBack(s *upgrade.Status) bool {
	_, ok := readOutcome(s.Rollback)
	return ok && s.Phase != nil && !s.Phase.Swapped()
}

// readOutcome reads how a swap went, there or back.
func readOutcome(text json.RawMessage) (o upgrade.Outcome, ok bool) {
	return o, len(text) > 0 && json.Unmarshal(text, &o) == nil
}

// writeRefused names rows that the old side does not hold as they are.
func writeRefused(line func(label, format string, values ...any), s *upgrade.Status) {
	for _, r := range s.Refused {
		line("", "%s", r)
	}
}

// writeWayBack says whether the run could be rolled back, and what would be lost.
func (a *app) writeWayBack(line func(label, format string, values ...any), s *upgrade.Status) {
	if s.WayBack == nil {
		if len(s.Refused) > 0 {
			line("left", "the old side could not hold these as they were:")
		}
		writeRefused(line, s)
		return
	}
	switch {
	case !s.WayBack.Open:
		line("back", "no: %s", s.WayBack.Why)
		return
	case len(s.WayBack.Against) > 0:
		line("back", "not now: %s", s.WayBack.Against[0])
		for _, against := range s.WayBack.Against[1:] {
			line("", "%s", against)
		}
	case s.Leader == nil:
		line("back", "yes: pgumbra rollback%[1]s; nothing keeps the old side current meanwhile, pgumbra run%[1]s does", a.planFlag())
	default:
		line("back", "yes: pgumbra rollback%s", a.planFlag())
	}
	writeRefused(line, s)
	for _, lost := range human.Together(s.WayBack.Lost) {
		line("lost", "%s", lost)
	}
	for _, text := range human.Together(s.WayBack.MayLose) {
		line("may lose", "%s", text)
	}
}
