package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/upgrade"
)

func (a *app) planCommand() *cobra.Command {
	var format, output string
	c := &cobra.Command{
		Use:   "plan",
		Short: "Dry run: mapping, findings, locks, time, disk, exact SQL",
		Long: `Runs the migrations in a scratch database that holds production's structure but
none of its rows, and reports what a run would do. Changes nothing in
production.`,
		Example: `  pgumbra plan
  pgumbra plan --format html -o dry-run.html`,
		RunE: func(c *cobra.Command, _ []string) error {
			if a.json {
				format = "json"
			}
			write, ok := writers[format]
			if !ok {
				return &usageError{fmt.Errorf("--format %q: use text, json, markdown or html", format)}
			}
			file, err := a.load()
			if err != nil {
				return err
			}
			plan, err := upgrade.Plan(c.Context(), file, a.log)
			if err != nil {
				return err
			}
			if err := toFile(output, func(w io.Writer) error { return write(plan, w) }); err != nil {
				return err
			}
			if !plan.Runnable && !plan.NothingToDo {
				return &upgrade.Blocked{Plan: plan}
			}
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text, json, markdown or html")
	c.Flags().StringVarP(&output, "output", "o", "", "write to `FILE` instead of stdout")
	return c
}

var writers = map[string]func(*plans.Plan, io.Writer) error{
	"text":     (*plans.Plan).WriteText,
	"json":     (*plans.Plan).WriteJSON,
	"markdown": (*plans.Plan).WriteMarkdown,
	"html":     (*plans.Plan).WriteHTML,
}

// toFile gives write stdout or a file, and reports the file's close.
func toFile(path string, write func(io.Writer) error) (err error) {
	if path == "" {
		return write(os.Stdout)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	return write(f)
}
