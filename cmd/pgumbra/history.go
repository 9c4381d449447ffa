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
)

func (a *app) historyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "history",
		Short: "All runs of this production database, with their times and stalls",
		Long: `Reads what the control schema recorded of all runs, whatever their names: when
each began, how long its phases took, when it was ready, how long writers waited
in its cutover. abort --purge and finish --purge remove a run's record.`,
		Example: `  pgumbra history
  pgumbra history --json | jq '.runs[].cutover.stall_ms'`,
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
	c := human.Columns{Heads: []string{"RUN", "VERSIONS", "BEGAN", "PHASE", "ROWS", "READY AFTER", "STALL"}, Spare: []string{"ROWS", "VERSIONS", "READY AFTER"}}
	for _, r := range h.Runs {
		ready, stall := "-", "-"
		if r.ReadyAfter != nil {
			ready = spent(time.Duration(*r.ReadyAfter * float64(time.Second)))
		}
		if r.Cutover != nil {
			stall = milliseconds(r.Cutover.StallMS)
		}
		c.Add(r.Run, versionOf(r.FromVersion)+" → "+versionOf(r.ToVersion), r.StartedAt.Local().Format("2006-01-02 15:04"),
			strings.ReplaceAll(string(r.Phase), "_", " "), human.Count(r.Rows), ready, stall)
	}
	c.Fit(widthOfWriter(w))
	if err := c.Write(w); err != nil {
		return err
	}
	return printPhases(w, h.Runs[0])
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
