package main

import (
	"encoding/json"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/report"
)

// runFormats are those of a run's report.
var runFormats = []string{"text", "json", "markdown", "html"}

func (a *app) reportCommand() *cobra.Command {
	var format string
	var paths []string
	c := &cobra.Command{
		Use:   "report",
		Short: "How a run went: verdict, phases, plots of copy rate, backlog and proof",
		Long: `Reads the record of the newest run of the plan file's name, under way or over: when
it was ready, each cutover and rollback with its stall, attempts that came to nothing
and why, how long writers waited in all, how long each phase took, and how fast it
copied, replayed and compared. As a page it needs no other file.`,
		Example: `  pgumbra report
  pgumbra report --format html -o upgrade.html`,
		RunE: func(c *cobra.Command, _ []string) error {
			if a.json {
				format = "json"
			}
			outputs, err := outputsOf(c, format, runFormats, paths...)
			if err != nil {
				return err
			}
			file, err := a.load()
			if err != nil {
				return err
			}
			past, err := upgrade.ReadPast(c.Context(), file)
			if err != nil {
				return err
			}
			for _, to := range outputs {
				if err := to.write(func(w io.Writer) error { return writeRun(w, past, to.format) }); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text, json, markdown or html"+formatHelp)
	c.Flags().StringArrayVarP(&paths, "output", "o", nil, severalHelp+".txt, .json, .md, .html")
	complete(c, "format", runFormats...)
	return c
}

func writeRun(w io.Writer, past upgrade.PastRun, format string) error {
	switch format {
	case "json":
		return json.NewEncoder(w).Encode(past)
	case "markdown":
		return report.WriteMarkdown(w, past, report.Options{Version: versionText(), Now: time.Now()})
	case "html":
		return report.WriteHTML(w, past, report.Options{Version: versionText(), Now: time.Now()})
	}
	text := report.Verdict(past)
	if stall := report.Stall(past); stall != "" {
		text += "\n" + stall
	}
	if err := sayOn(w, text+"\n"); err != nil {
		return err
	}
	return printHistory(w, upgrade.History{Runs: []upgrade.PastRun{past}})
}
