package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/group"
)

func (a *app) pauseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pause",
		Short: "Pause the copy, from any machine; capture goes on",
		Long: `The process that leads the run stops copying after the chunks that are under way,
within a second or two, until pgumbra resume. Triggers go on recording what
clients write, so that the journals grow meanwhile. Only the copy can pause:
indexes that are being built are built, and changes are replayed as ever.`,
		Example: `  pgumbra pause
  pgumbra status`,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.setPaused(c, upgrade.PauseCopy, "The copy pauses after the chunks that are under way. Triggers go on recording, so the journals grow.\nNext: pgumbra resume"+a.planFlag())
		},
	}
}

func (a *app) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "resume",
		Short:   "Let a paused copy go on",
		Long:    `Takes back pgumbra pause: the process that leads the run copies on within a second.`,
		Example: `  pgumbra resume`,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.setPaused(c, upgrade.ResumeCopy, "The copy goes on.\nNext: pgumbra status"+a.planFlag()+" --watch")
		},
	}
}

// setPaused pauses the copy of each database of a group, or of the one that --database
// names.
func (a *app) setPaused(c *cobra.Command, wish upgrade.Pausing, text string) error {
	file, g, err := a.loadGroup()
	if err != nil {
		return err
	}
	if g != nil {
		return a.pauseGroup(c.Context(), file, wish)
	}
	copies, err := pauseOne(c.Context(), file, wish)
	if err != nil {
		return err
	}
	switch s, err := upgrade.ReadStatus(c.Context(), file); {
	case err == nil && s.Leader == nil && s.Copies():
		text = a.unledCopy(wish)
	case !copies:
		text = "Nothing is being copied now. A table that has to be copied again will wait.\nNext: pgumbra resume" + a.planFlag() + " takes it back"
	}
	if a.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"run": file.Name, "paused": wish == upgrade.PauseCopy})
	}
	if file.Member != "" {
		text = file.Member + ": " + text
	}
	return say(text)
}

// unledCopy: nobody leads the run, so that nothing pauses or goes on yet.
func (a *app) unledCopy(wish upgrade.Pausing) string {
	if wish == upgrade.PauseCopy {
		return "No process leads the run; whichever does next copies nothing until pgumbra resume.\nNext: pgumbra resume" + a.planFlag()
	}
	return "The copy goes on once a process leads the run.\nNext: pgumbra run" + a.planFlag()
}

// pauseOne: a copy that is over has nothing that could pause.
func pauseOne(ctx context.Context, file *planfile.File, wish upgrade.Pausing) (copies bool, err error) {
	if err := upgrade.Pause(ctx, file, wish); err != nil {
		return false, err
	}
	if wish != upgrade.PauseCopy {
		return true, nil
	}
	return mayCopy(upgrade.ReadStatus(ctx, file)), nil
}

// mayCopy: the pause is noted, whatever can be read of the run.
func mayCopy(s *upgrade.Status, err error) bool { return err != nil || s.Copies() }

// pauseGroup goes through all databases, whatever becomes of one.
func (a *app) pauseGroup(ctx context.Context, file *planfile.File, wish upgrade.Pausing) error {
	var failed group.Error
	var text strings.Builder
	members := []map[string]any{}
	for _, m := range file.Members {
		copies, err := pauseOne(ctx, m, wish)
		says := "the copy goes on"
		switch {
		case err != nil:
			failed.Members = append(failed.Members, group.MemberError{Name: m.Member, Err: err})
			continue
		case !copies:
			says = "nothing is being copied now; a table that has to be copied again will wait"
		case wish == upgrade.PauseCopy:
			says = "the copy pauses after the chunks that are under way; triggers go on recording"
		}
		fmt.Fprintf(&text, "%s: %s\n", m.Member, says)
		members = append(members, map[string]any{"member": m.Member, "paused": wish == upgrade.PauseCopy})
	}
	next := "Next: pgumbra resume" + a.planFlag()
	if wish == upgrade.ResumeCopy {
		next = "Next: pgumbra status" + a.planFlag() + " --watch"
	}
	var err error
	if a.json {
		err = json.NewEncoder(os.Stdout).Encode(map[string]any{"run": file.Name, "members": members})
	} else if len(members) > 0 {
		err = say(text.String() + next)
	}
	if len(failed.Members) > 0 {
		return errors.Join(err, &failed)
	}
	return err
}
