package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/cutover"
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
cutover, and the next command. Needs no leader and changes nothing. --watch asks
again until the run is over.`,
		Example: `  pgumbra status --watch
  pgumbra status --json | jq .phase`,
		RunE: func(c *cobra.Command, _ []string) error {
			file, err := a.load()
			if err != nil {
				return err
			}
			for {
				s, err := upgrade.ReadStatus(c.Context(), file)
				if err != nil && !watch {
					return err
				}
				if err != nil {
					a.log.Warn("status could not be read; asking again", "error", err)
				} else if err := a.printStatus(os.Stdout, s); err != nil || !watch || s.Phase == nil || s.Phase.Over() {
					return err
				}
				select {
				case <-c.Context().Done():
					return c.Context().Err()
				case <-time.After(2 * time.Second):
				}
			}
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "again every two seconds, until the run is over")
	return c
}

func (a *app) printStatus(w io.Writer, s *upgrade.Status) error {
	if a.json {
		return json.NewEncoder(w).Encode(s)
	}
	if s.Phase == nil {
		_, err := fmt.Fprintf(w, "There is no run %s.\n", s.Run)
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "run      %s\nphase    %s\nleader   %s\n", s.Run, *s.Phase, leaderText(s))
	writeStandbys(&b, s)
	if s.Away != "" {
		fmt.Fprintf(&b, "away     %s\n         If it is gone for good: pgumbra finish\n", s.Away)
	}
	if s.Failure != "" {
		fmt.Fprintf(&b, "stopped  %s\n", s.Failure)
	}
	fmt.Fprintf(&b, "journal  %s changes pending, %s; %.0f/s in, %.0f/s out\n",
		human.Count(s.Journal.Pending), journalText(s.Journal), s.Rate.In, s.Rate.Out)
	if s.Unled != nil {
		fmt.Fprintf(&b, "unled    %s\n", unledText(s.Unled))
	}
	if s.Throttled != "" {
		fmt.Fprintf(&b, "paused   %s\n", s.Throttled)
	}
	writeReadiness(&b, s)
	if s.Trial != nil {
		fmt.Fprintf(&b, "trial    %s\n", trialText(s.Trial))
	}
	if s.Attempts.Count > 0 {
		fmt.Fprintf(&b, "attempts %d; they held clients for %.0f ms in all, of %.0f (cutover.max_total_stall)\n", s.Attempts.Count, s.Attempts.HeldMS, s.Attempts.MaxMS)
	}
	if len(s.Cutover) > 0 && len(s.Rollback) == 0 {
		fmt.Fprintf(&b, "cutover  %s", cutoverText(s))
	}
	if len(s.Rollback) > 0 {
		fmt.Fprintf(&b, "rollback %s", rollbackText(s))
	}
	writeWayBack(&b, s)
	writeTables(&b, s)
	fmt.Fprintf(&b, "\nNext: %s\n", nextOf(s))
	_, err := io.WriteString(w, b.String())
	return err
}

// writeReadiness says whether a cutover would be tried now: what stands against
// it, a line each.
func writeReadiness(b *strings.Builder, s *upgrade.Status) {
	switch {
	case s.Phase.Over() || s.Phase.Swapped():
	case s.Ready:
		fmt.Fprintln(b, "ready    yes")
	case len(s.Blockers) > 0:
		fmt.Fprintf(b, "ready    no: %s\n", human.OneLine(s.Blockers[0]))
		for _, blocker := range s.Blockers[1:] {
			fmt.Fprintf(b, "         %s\n", human.OneLine(blocker))
		}
	}
}

// nextOf is the command that fits where the run stands.
func nextOf(s *upgrade.Status) string {
	switch {
	case *s.Phase == control.RolledBack && !s.Tidied:
		return "pgumbra rollback again: it did not come to the end of its tidying up"
	case *s.Phase == control.RolledBack:
		return "pgumbra finish --drop-old drops the new side; pgumbra run begins another one"
	case *s.Phase == control.Aborted, *s.Phase == control.Finished:
		return "the run is over; pgumbra run begins another one"
	case s.WayBack != nil && s.WayBack.Open && s.Leader == nil:
		return "pgumbra finish ends the watch (--drop-old drops the old side); until then pgumbra run keeps the old side current, and pgumbra rollback goes back to it"
	case s.WayBack != nil && s.WayBack.Open:
		return "pgumbra finish ends the watch (--drop-old drops the old side); pgumbra rollback goes back to it"
	case s.Phase.Swapped():
		return "pgumbra finish ends the watch (--drop-old drops the old side)"
	case s.Ready:
		return "pgumbra cutover"
	case s.Failure != "":
		return "correct what stopped it, then pgumbra run; pgumbra abort undoes it"
	case s.Leader == nil:
		return "pgumbra run goes on; pgumbra abort undoes it"
	}
	return "wait: pgumbra status --watch; pgumbra abort undoes it"
}

// trialText says what the swap took when it was tried and rolled back.
func trialText(t *cutover.Trial) string {
	text := fmt.Sprintf("the swap took %.0f ms", t.SwapMS)
	if len(t.Files) > 0 {
		text = fmt.Sprintf("the migrations behind the fence took %.0f ms", t.TotalMS)
	}
	text += ", all rolled back"
	if t.Skipped != "" {
		text += "; not all could be tried: " + t.Skipped
	}
	return text
}

// journalText says how full the journals are, and who guards their limit.
func journalText(j upgrade.Journal) string {
	text := humanize.IBytes(uint64(j.Bytes))
	if j.Limit > 0 {
		text += fmt.Sprintf(" of %s (%.0f %%)", humanize.IBytes(uint64(j.Limit)), 100*float64(j.Bytes)/float64(j.Limit))
	}
	if j.Guard != "" {
		text += ", guarded by: " + j.Guard
	}
	return text
}

func leaderText(s *upgrade.Status) string {
	if s.Leader == nil {
		return "none"
	}
	return fmt.Sprintf("pid %d on %s, epoch %d", s.Leader.PID, s.Leader.Host, s.Leader.Epoch)
}

// unledText says what a run costs that nobody leads.
func unledText(u *upgrade.Unled) string {
	since := ""
	if u.Since != nil {
		since = " since " + u.Since.UTC().Format(time.DateTime) + " UTC"
	}
	return fmt.Sprintf("nobody leads the run%s; %s on %s record each write, which costs it a little more: %s so far",
		since, human.Plural(u.Triggers, "trigger"), human.Plural(u.Tables, "table"), human.Plural(int(u.Recorded), "change"))
}

// writeStandbys says who waits to lead, and what would keep it from that.
func writeStandbys(b *strings.Builder, s *upgrade.Status) {
	for _, by := range s.Standbys {
		fmt.Fprintf(b, "standby  pid %d on %s", by.PID, by.Host)
		if by.Ready {
			fmt.Fprint(b, ", ready")
		}
		fmt.Fprintln(b)
		for _, p := range by.Problems {
			fmt.Fprintf(b, "         %s\n", human.OneLine(p))
		}
	}
}

func writeTables(w io.Writer, s *upgrade.Status) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nTABLE\tSTATE\tCOPIED\tREPLAYED\tPENDING\tVERIFIED")
	for _, r := range s.Tables {
		verified := "-"
		if r.VerifiedAt != nil {
			verified = r.VerifiedAt.UTC().Format(time.TimeOnly) + " UTC"
		}
		name := r.Production
		if name == "" {
			name = r.Shadow
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", name, r.State, human.Count(r.RowsCopied),
			human.Count(r.RowsReplayed), human.Count(r.Pending), verified)
	}
	_ = t.Flush() // like Fprintf above: nobody to tell
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
		return nil
	}
	var text string
	switch *s.Phase {
	case control.Watching:
		text = cutoverText(s) + "Next: " + nextOf(s) + "."
	case control.RolledBack:
		text = rollbackText(s) + "Next: " + nextOf(s) + "."
	case control.Finished:
		text = cutoverText(s) + "The run is finished."
	case control.Following:
		text = "Every table follows. Next: pgumbra cutover"
		if !s.Ready {
			text = "Following. Next: pgumbra run goes on"
		}
	case control.Aborted:
		text = fmt.Sprintf("Run %s is over: %s.", s.Run, *s.Phase)
	default:
		text = fmt.Sprintf("Run %s is in phase %s. Next: pgumbra run goes on", s.Run, *s.Phase)
	}
	_, err = fmt.Println(text)
	return err
}

func cutoverText(s *upgrade.Status) string {
	c, ok := readOutcome(s.Cutover)
	if !ok {
		return ""
	}
	return fmt.Sprintf("The shadow is production now: attempt %d, %.1f ms stall (%.1f ms for the locks), %d changes drained.\n",
		c.Attempts, c.StallMS, c.LockWaitMS, c.Drained)
}

func (a *app) printVerdicts(w io.Writer, verdicts []upgrade.TableVerdict) error {
	if a.json {
		return json.NewEncoder(w).Encode(map[string]any{"run": a.file.Name, "equal": upgrade.AllEqual(verdicts), "tables": verdicts})
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
