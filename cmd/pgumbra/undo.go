package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/cutover"
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
			file, err := a.load()
			if err != nil {
				return err
			}
			done, err := upgrade.Abort(c.Context(), file, leftovers(purge), a.log)
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
		return a.sayPhase(fmt.Sprintf("There is no run %s: nothing to undo.", run), run, nil)
	}
	if a.json {
		remains := []map[string]string{}
		for _, r := range done.Remains {
			remains = append(remains, map[string]string{"what": r.What, "type": r.Type})
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"run": run, "phase": "aborted", "looked_at": done.Looked, "remains": remains})
	}
	text := fmt.Sprintf("Run %s is aborted: its triggers, journals and shadow are gone, and production is as it was.", run)
	if len(done.Remains) > 0 {
		text = fmt.Sprintf("Run %s is aborted: its triggers, journals and shadow are gone. Of the %d tables that it captured, others changed:", run, done.Looked)
	}
	for _, r := range done.Remains {
		text += "\n\n" + r.What
		if r.Type != "" {
			text += "\nTo mend it, type:  " + r.Type + ";"
		}
	}
	return a.sayPhase(text, run, "aborted")
}

func (a *app) finishCommand() *cobra.Command {
	var purge, drop bool
	c := &cobra.Command{
		Use:   "finish",
		Short: "End the watch after the cutover",
		Long: `Removes the reverse capture and everything else of pgumbra's but the record of the
run. From then on there is no way back. The old side stays, fenced against
writes, as schema pgumbra_<run>_old_<schema>, unless --drop-old.`,
		Example: `  pgumbra finish --drop-old`,
		RunE: func(c *cobra.Command, _ []string) error {
			file, err := a.load()
			if err != nil {
				return err
			}
			old := cutover.KeepOld
			if drop {
				old = cutover.DropOld
			}
			if err := upgrade.Finish(c.Context(), file, old, leftovers(purge), a.log); err != nil {
				return err
			}
			return a.sayPhase(fmt.Sprintf("Run %s is finished.", file.Name), file.Name, "finished")
		},
	}
	c.Flags().BoolVar(&drop, "drop-old", false, "drop the old side's schemas")
	c.Flags().BoolVar(&purge, "purge", false, "remove the run's record too, and the control schema with the last one")
	return c
}

// sayPhase is the result of a command that ends a run.
func (a *app) sayPhase(text, run string, phase any) error {
	if a.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"run": run, "phase": phase})
	}
	_, err := fmt.Println(text)
	return err
}
