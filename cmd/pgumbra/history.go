package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/report"
)

func (a *app) historyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "history",
		Short: "All runs of this production database, with their times and stalls",
		Long: `Reads what the control schema recorded of all runs, whatever their names: when
each began, how long its phases took, when it was ready, how long writers waited
in its cutovers and rollbacks, and in all attempts together. abort --purge and finish --purge remove a run's record.`,
		Example: `  pgumbra history
  pgumbra history --json | jq '.runs[].swaps[].stall_ms'`,
		RunE: func(c *cobra.Command, _ []string) error {
			file, err := a.load()
			if err != nil {
				return err
			}
			h, err := upgrade.ReadHistory(c.Context(), file)
			if err != nil {
				return err
			}
			if a.json {
				return json.NewEncoder(os.Stdout).Encode(h)
			}
			return printHistory(os.Stdout, h)
		},
	}
}

func printHistory(w io.Writer, h upgrade.History) error {
	if len(h.Runs) == 0 {
		_, err := fmt.Fprintln(w, "No run is recorded.\nNext: pgumbra plan")
		return err
	}
	c := human.Columns{Heads: []string{"RUN", "VERSIONS", "BEGAN", "PHASE", "ROWS", "READY AFTER", "STALL", "IN ALL"}, Spare: []string{"ROWS", "VERSIONS", "READY AFTER", "IN ALL"}}
	for _, r := range h.Runs {
		ready := "-"
		if r.ReadyAfter != nil {
			ready = spent(time.Duration(*r.ReadyAfter * float64(time.Second)))
		}
		c.Add(r.Run, versionOf(r.FromVersion)+" → "+versionOf(r.ToVersion), r.StartedAt.Local().Format("2006-01-02 15:04"),
			strings.ReplaceAll(string(r.Phase), "_", " "), human.Count(r.Rows), ready, stalls(r), takenText(r))
	}
	c.Fit(widthOfWriter(w))
	if err := c.Write(w); err != nil {
		return err
	}
	if err := printPhases(w, h.Runs[0]); err != nil {
		return err
	}
	return printSwaps(w, h.Runs[0])
}

// stalls are those of a run's last cutover and, where it was taken back, its rollback.
func stalls(r upgrade.PastRun) string {
	switch {
	case r.BackAgain():
		return milliseconds(r.Rollback.StallMS) + " back"
	case r.Cutover != nil:
		return milliseconds(r.Cutover.StallMS)
	}
	return "-"
}

// takenText is what all attempts have taken from clients.
func takenText(r upgrade.PastRun) string {
	if r.Taken.Attempts == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%d)", human.Took(r.Taken.HeldMS), r.Taken.Attempts)
}

// printSwaps shows the newest run's cutovers and rollbacks, and the attempts that came to
// nothing.
func printSwaps(w io.Writer, r upgrade.PastRun) error {
	swaps := report.Swaps(r)
	refused, more := report.Refused(r)
	if len(swaps)+len(refused) == 0 {
		return nil
	}
	lines := []string{""}
	for _, s := range swaps {
		lines = append(lines, fmt.Sprintf("%-15s %s: %s", s.Name, s.At.Local().Format("2006-01-02 15:04:05 MST"), s.Text))
	}
	if taken := report.Taken(r); taken != "" {
		lines = append(lines, taken)
	}
	if len(refused) > 0 {
		lines = append(lines, "Attempts that came to nothing:")
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("  %d more before these, in --json", more))
	}
	for _, f := range refused {
		lines = append(lines, fmt.Sprintf("  %s  %s: %s", f.At.Local().Format(time.TimeOnly), f.Name, f.Text))
	}
	return sayOn(w, strings.Join(lines, "\n"))
}

// printPhases shows where the newest run's time went.
func printPhases(w io.Writer, r upgrade.PastRun) error {
	var parts []string
	for _, p := range r.Phases {
		switch {
		case p.Phase.Over():
		case p.Seconds == nil:
			parts = append(parts, string(p.Phase)+" since "+p.At.Local().Format(time.TimeOnly))
		default:
			parts = append(parts, string(p.Phase)+" "+spent(time.Duration(*p.Seconds*float64(time.Second))))
		}
	}
	return sayOn(w, "\n"+r.Run+": "+strings.Join(parts, ", "))
}

func versionOf(v *int64) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprint(*v)
}

// milliseconds as people read a stall.
func milliseconds(ms float64) string {
	if ms >= 10_000 {
		return fmt.Sprintf("%.1f s", ms/1000)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// spent is a time that has passed, as exact as somebody cares for.
func spent(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
	return fmt.Sprintf("%.1f days", d.Hours()/24)
}
