package main

import (
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/report"
	"github.com/pgumbra/pgumbra/upgrade"
)

func (a *app) planCommand() *cobra.Command {
	var format, sql string
	var paths []string
	c := &cobra.Command{
		Use:   "plan",
		Short: "Dry run: what clients notice, what changes, findings, locks, time, disk, SQL",
		Long: `Runs the migrations in a scratch database that holds production's structure but
none of its rows, then in another one on a sample of them (scratch.rows), and
reports what a run would do. Changes nothing in production.`,
		Example: `  pgumbra plan
  pgumbra plan -o - -o dry-run.html -o dry-run.md`,
		RunE: func(c *cobra.Command, _ []string) error {
			if a.json {
				format = "json"
			}
			outputs, err := outputsOf(c, format, report.Formats, paths...)
			if err != nil {
				return err
			}
			options := report.Options{SQL: report.Detail(sql), Version: versionText()}
			if sql != "" && !slices.Contains(report.Details, options.SQL) {
				return &usageError{fmt.Errorf("--sql %q: use none, summary or full", sql)}
			}
			file, g, err := a.loadGroup()
			if err != nil {
				return err
			}
			defer a.tellWaits(c.Context(), file)()
			if g != nil {
				return a.planGroup(c.Context(), g, file, outputs, options)
			}
			plan, err := upgrade.Plan(c.Context(), file, a.log)
			if err != nil {
				return err
			}
			if err := writePlan(outputs, options, func(w io.Writer, o report.Options) error { return report.Write(w, plan, o) }); err != nil {
				return err
			}
			if !plan.Runnable && !plan.NothingToDo {
				return &upgrade.Blocked{Plan: plan}
			}
			return a.sayPlanned(outputs, plan)
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text, json, markdown or html"+formatHelp)
	c.Flags().StringVar(&sql, "sql", "", "how much of the steps to show: none, summary (with their locks) or full (with their SQL); default: full for html, else summary; json has all")
	c.Flags().StringArrayVarP(&paths, "output", "o", nil, severalHelp+".txt, .json, .md, .html")
	complete(c, "format", report.Formats...)
	complete(c, "sql", string(report.None), string(report.Summary), string(report.Full))
	return c
}

// writePlan writes a dry run to each of its outputs.
func writePlan(outputs []output, options report.Options, write func(io.Writer, report.Options) error) error {
	for _, to := range outputs {
		options.Format, options.Width = to.format, widthOf(os.Stdout)
		if to.toFile() {
			options.Width = 0
		}
		if err := to.write(func(w io.Writer) error { return write(w, options) }); err != nil {
			return err
		}
	}
	return nil
}

// sayPlanned says what to type after a dry run that can run, unless a program reads stdout.
func (a *app) sayPlanned(outputs []output, plan *plans.Plan) error {
	if plan.NothingToDo || toPrograms(outputs) {
		return nil
	}
	text := "\nNext: pgumbra run" + a.planFlag() + " --until following; it can be undone until the cutover, by pgumbra abort" + a.planFlag()
	if files := written(outputs); files != "" {
		text = "Wrote " + files + "." + text
	}
	return say(text)
}
