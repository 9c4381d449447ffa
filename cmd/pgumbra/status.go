package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
)

func (a *app) statusCommand() *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Where the run stands",
		Long: `Asks the control schema: phase, leader, journals, tables, what stands against a
cutover, and the next command. Needs no leader and changes nothing. --watch
repaints every two seconds until the run is over, and goes on asking
where the server does not answer.`,
		Example: `  pgumbra status --watch
  pgumbra status --json | jq .phase`,
		RunE: func(c *cobra.Command, _ []string) error {
			file, g, err := a.loadGroup()
			switch {
			case err != nil:
				return err
			case g != nil && watch:
				return a.watchGroup(c.Context(), g)
			case g != nil:
				return a.printGroup(c.Context(), os.Stdout, g)
			}
			if watch {
				return a.watchStatus(c.Context(), file)
			}
			s, err := upgrade.ReadStatus(c.Context(), file)
			if err != nil {
				return err
			}
			if err := s.ReadShadowSize(c.Context(), file); err != nil {
				a.log.Debug("the shadow's size is not known", "error", err)
			}
			if err := s.ReadLeft(c.Context(), file); err != nil {
				a.log.Debug("what is left is not known", "error", err)
			}
			return a.printStatus(os.Stdout, s)
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "again every two seconds, until the run is over")
	return c
}

// sayWhereItEnded prints the outcome of run and cutover: what was reached, the
// stall, and what to type next.
func (a *app) sayWhereItEnded(ctx context.Context, file *planfile.File) error {
	s, err := upgrade.ReadStatus(ctx, file)
	if err != nil {
		return err
	}
	if a.json {
		return json.NewEncoder(os.Stdout).Encode(s)
	}
	if s.Phase == nil {
		return say(fmt.Sprintf("Run %s is over, and its record is removed.\nNext: pgumbra history%s", s.Run, a.planFlag()))
	}
	var text string
	switch *s.Phase {
	case control.Watching:
		text = "The shadow is production now: " + cutoverText(s) + "." + spentText(s.Cutover)
	case control.RolledBack:
		text = rollbackText(s) + spentText(s.Rollback)
	case control.Finished:
		text = "The shadow is production now: " + cutoverText(s) + ". The run is finished." + spentText(s.Cutover)
	case control.Following:
		text = followingText(s)
	case control.Aborted:
		text = fmt.Sprintf("Run %s is over: %s.", s.Run, *s.Phase)
	default:
		text = fmt.Sprintf("Run %s is in phase %s.", s.Run, *s.Phase)
	}
	return say(text + "\nNext: " + a.nextOf(s))
}

// followingText says whether a cutover would be tried now, or what stands against one.
func followingText(s *upgrade.Status) string {
	switch {
	case s.Ready:
		return "Every table follows and is verified."
	case s.TrialTooLong && len(s.Blockers) == 1:
		return "Every table follows and is verified, but no cutover would be tried: " + s.Blockers[0] + "."
	case len(s.Blockers) > 0:
		return "The run follows; no cutover would be tried now: " + strings.Join(s.Blockers, "; ") + "."
	}
	return "The run follows."
}

func (a *app) printVerdicts(w io.Writer, verdicts []upgrade.TableVerdict) error {
	if a.json {
		return json.NewEncoder(w).Encode(verified(a.file.Name, verdicts))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TABLE\tROWS\tRESULT")
	for _, v := range verdicts {
		result := "equal"
		if !v.Verdict.Equal {
			result = "DIFFERENT"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", v.Name, human.Count(v.Verdict.Rows), result)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, v := range verdicts {
		for _, d := range v.Verdict.Differences {
			if _, err := fmt.Fprintf(w, "%s %s\n  production %s\n  shadow     %s\n", v.Name, d.Key, orNoRow(d.Production), orNoRow(d.Shadow)); err != nil {
				return err
			}
		}
	}
	return nil
}

func orNoRow(image *string) string {
	if image == nil {
		return "(no such row)"
	}
	return *image
}
