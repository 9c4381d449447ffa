package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/plans/syntax"
)

const parseCommand = "parse-sql"

// parseSQLCommand is the SQL parser in a process of its own: it needs 250 MB,
// which a run that follows for days must not hold.
func parseSQLCommand() *cobra.Command {
	return &cobra.Command{
		Use:    parseCommand,
		Hidden: true,
		Short:  "Parse SQL for a parent process",
		RunE:   func(*cobra.Command, []string) error { return syntax.Serve(os.Stdin, os.Stdout) },
	}
}
