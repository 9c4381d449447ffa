package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/upgrade"
)

func leftovers(purge bool) upgrade.Leftovers {
	if purge {
		return upgrade.Purge
	}
	return upgrade.KeepRecord
}

func (a *app) abortCommand() *cobra.Command {
	var purge bool
	c := &cobra.Command{
		Use:   "abort",
		Short: "Undo a run before its cutover: triggers, journals, shadow, scratch",
		Long: `Removes triggers and journals first, so that production is free at once, then the
shadow and the scratch database. Always safe: after crashes, from any machine,
and repeatedly; a process that still leads the run is ended. The record of the
run stays unless --purge.`,
		Example: `  pgumbra abort --purge`,
		RunE: func(c *cobra.Command, _ []string) error {
			file, g, err := a.loadGroup()
			if err != nil {
				return err
			}
			defer a.tellWaits(c.Context(), file)()
			if g != nil {
				return a.abortGroup(c.Context(), g, file, leftovers(purge))
			}
			doing := "removing triggers and journals, then the shadow and scratch"
			if s := upgrade.ReadStanding(c.Context(), file, 3*time.Second); s != nil && s.Phase == nil {
				doing = "looking for what a dry run left"
			}
			var done upgrade.Aborted
			err = a.patiently(c.Context(), doing, func(ctx context.Context) (err error) {
				done, err = upgrade.Abort(ctx, file, leftovers(purge), a.log)
				return err
			})
			if err != nil {
				return err
			}
			return a.sayAborted(file.Name, done)
		},
	}
	c.Flags().BoolVar(&purge, "purge", false, "remove the run's record too, and the control schema with the last one")
	return c
}

// sayAborted says what was looked at, and what others changed that abort cannot
// bring back, with the statement to type.
func (a *app) sayAborted(run string, done upgrade.Aborted) error {
	if !done.Existed {
		return a.sayPhase(abortedText(run, done)+"\nNext: pgumbra plan"+a.planFlag(), run, nil)
	}
	if a.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"run": run, "phase": "aborted", "looked_at": done.Looked, "remains": remaining(done)})
	}
	text := abortedText(run, done)
	if len(done.Remains) == 0 { // else what to type for these stands last
		text += "\nNext: pgumbra run" + a.planFlag() + " begins another one"
	}
	return a.sayPhase(text, run, "aborted")
}

// remaining is what others changed, for programs.
func remaining(done upgrade.Aborted) []map[string]string {
	remains := []map[string]string{}
	for _, r := range done.Remains {
		remains = append(remains, map[string]string{"what": r.What, "type": r.Type})
	}
	return remains
}

func abortedText(run string, done upgrade.Aborted) string {
	if !done.Existed && len(done.Others) > 0 {
		return fmt.Sprintf("There is no run %s, and nothing of it to undo. Under way in this database: %s; --plan names the plan file of a run.", run, strings.Join(done.Others, ", "))
	}
	if !done.Existed {
		return fmt.Sprintf("There is no run %s: nothing to undo.", run)
	}
	text := fmt.Sprintf("Run %s is aborted: its triggers, journals and shadow are gone, and production is as it was.", run)
	if len(done.Remains) > 0 {
		text = fmt.Sprintf("Run %s is aborted: its triggers, journals and shadow are gone. Of the %d tables that it captured, others changed:", run, done.Looked)
	}
	for _, r := range done.Remains {
		text += "\n\n" + r.What
		if r.Type != "" {
			text += "\nTo fix it, run:  " + r.Type + ";"
		}
	}
	return text
}

func (a *app) finishCommand() *cobra.Command {
	var purge, drop, yes bool
	c := &cobra.Command{
		Use:   "finish",
		Short: "End the watch after the cutover",
		Long: `Removes the reverse capture and everything else of pgumbra's but the record of the
run. From then on there is no way back. The old side stays, fenced against
writes, as schema pgumbra_<run>_old_<schema>, unless --drop-old, which asks on a
terminal before it drops; --yes answers that.`,
		Example: `  pgumbra finish
  pgumbra finish --drop-old`,
		RunE: func(c *cobra.Command, _ []string) error {
			file, g, err := a.loadGroup()
			if err != nil {
				return err
			}
			defer a.tellWaits(c.Context(), file)()
			old := cutover.KeepOld
			if drop {
				old = cutover.DropOld
			}
			if g != nil {
				return a.finishGroup(c.Context(), g, file, old, leftovers(purge), func(side upgrade.OldSide) bool { return !drop || yes || a.confirmed(c.Context(), side) })
			}
			side, err := upgrade.ReadOldSide(c.Context(), file)
			if err != nil {
				a.log.Debug("what is left of the old side is not known", "error", err) // finish itself says what is wrong
			}
			if drop && !yes && !a.confirmed(c.Context(), side) {
				return errDeclined
			}
			err = a.patiently(c.Context(), "ending the watch", func(ctx context.Context) error {
				return upgrade.Finish(ctx, file, old, leftovers(purge), a.log)
			})
			if err != nil {
				return err
			}
			return a.sayPhase(finishedText(file.Name, old, side, purge), file.Name, "finished")
		},
	}
	c.Flags().BoolVar(&drop, "drop-old", false, "drop the old side's schemas")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask before dropping")
	c.Flags().BoolVar(&purge, "purge", false, "remove the run's record too, and the control schema with the last one")
	return c
}

// errDeclined: somebody was asked, and said no.
var errDeclined = &usageError{errors.New("nothing was dropped, and the run is as it was")}

// confirmed asks before the old side is dropped. Nothing is asked without a terminal.
func (a *app) confirmed(ctx context.Context, side upgrade.OldSide) bool {
	if a.json || len(side.Schemas) == 0 || !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stderr.Fd())) {
		return true
	}
	question := fmt.Sprintf("Drop %s, %s, for good?", sideText(side), human.Bytes(side.Bytes))
	if !side.New {
		question += " Without it there is no way back."
	}
	fmt.Fprint(os.Stderr, human.Fold(question+" [y/N]", widthOf(os.Stderr))+" ")
	answered := make(chan string, 1)
	go func() { // which nothing but an answer ends: the process does
		answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil {
			answer = ""
		}
		answered <- strings.ToLower(strings.TrimSpace(answer))
	}()
	select {
	case <-ctx.Done():
		return false
	case answer := <-answered:
		return answer == "y" || answer == "yes"
	}
}

// finishedText says what stays, how large it is, and what to type to be rid of it.
func finishedText(run string, old cutover.OldSide, side upgrade.OldSide, purged bool) string {
	text := "Run " + run + " is finished."
	switch {
	case len(side.Schemas) == 0:
		return text
	case old == cutover.DropOld:
		return fmt.Sprintf("%s %s, %s, is dropped.", text, sideText(side), human.Bytes(side.Bytes))
	}
	which, guards := "old", ""
	if side.New {
		which = "new"
	}
	if purged {
		guards = " What refuses the writes is in schema pgumbra, which stays for it: then DROP SCHEMA pgumbra CASCADE, unless there are other runs."
	}
	return fmt.Sprintf("%s The %s side stays and refuses writes: %s, %s.%s When nobody needs it any more%s",
		text, which, sideText(side), human.Bytes(side.Bytes), guards, dropByHand(side))
}

// sideText names the schemas, and of a run to another server the one they are on: on the
// other one production has the same names.
func sideText(side upgrade.OldSide) string {
	names := strings.Join(side.Schemas, ", ")
	if side.Server != "" {
		names += " on " + side.Server
	}
	return names
}

// dropByHand is the statement that drops it. To another server it is a command that leads
// nowhere else: by way of the pool the same statement would drop production.
func dropByHand(side upgrade.OldSide) string {
	drop := "DROP SCHEMA " + pg.Idents(side.Schemas) + " CASCADE;"
	if side.Server == "" {
		return ":\n" + drop
	}
	return " (there alone: production has the same names on the other server):\npsql " + quoted(side.Server) + " -c " + quoted(drop)
}

// quoted is a word for a shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// sayPhase is the result of a command that ends a run.
func (a *app) sayPhase(text, run string, phase any) error {
	if a.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"run": run, "phase": phase})
	}
	return say(text)
}
