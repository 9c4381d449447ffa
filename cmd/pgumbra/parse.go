package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/plans/syntax/parser"
)

const parseCommand = "parse-sql"

// parseSQLCommand is the SQL parser in a process of its own: it needs 250 MB,
// which a run that follows for days must not hold.
func parseSQLCommand() *cobra.Command {
	return &cobra.Command{
		Use:    parseCommand,
		Hidden: true,
		Short:  "Parse SQL for a parent process",
		RunE: func(*cobra.Command, []string) error {
			go endWith(os.Getppid())
			return parser.Serve(os.Stdin, os.Stdout)
		},
	}
}

// endWith ends this process once its parent is gone, in the middle of a
// statement too: a large one can take minutes, and nobody waits for the answer.
func endWith(parent int) {
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			os.Exit(exitError)
		}
	}
}
