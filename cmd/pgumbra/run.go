package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans/migrations"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/group"
)

func (a *app) runCommand() *cobra.Command {
	var until string
	var cutover, standby bool
	c := &cobra.Command{
		Use:   "run",
		Short: "Build, fill and follow the shadow; resumes after any stop",
		Long: `Brings the run to following and keeps it current until it is stopped or somebody
runs pgumbra cutover. What was stopped, crashed or was killed goes on where it
was: typing the same command again is always right.

--until PHASE ends once that phase is complete: building, capturing, copying or
following. Following is complete once every table follows and is verified.
--cutover goes through the cutover as soon as the run is ready, and ends.
--standby waits on another host, with the same plan file and migrations, and leads
once there is no leader any more: at once where the leader was stopped (SIGTERM)
or killed, within five seconds where its host or network is gone. pgumbra status
shows it, and whether it could lead. It ends when the run is over.`,
		Example: `  pgumbra run --until following
  pgumbra run --cutover
  pgumbra run --standby`,
		RunE: func(c *cobra.Command, _ []string) error {
			phase := control.Phase(until)
			switch phase {
			case "", control.Building, control.Capturing, control.Copying, control.Following:
			default:
				return &usageError{fmt.Errorf("--until %q: use building, capturing, copying or following", until)}
			}
			if until != "" && cutover {
				return &usageError{errors.New("--until stops before the cutover: use it or --cutover")}
			}
			file, g, err := a.loadGroup()
			if err != nil {
				return err
			}
			defer a.tellWaits(c.Context(), file)()
			a.ends = until != "" || cutover
			o := upgrade.Options{Until: phase, Cutover: cutover, Program: versionText(), Log: a.log}
			if g != nil {
				work := func() error { return g.Run(c.Context(), o) }
				if standby {
					work = func() error { return group.Standby(c.Context(), file, o) }
				}
				return a.groupWork(c.Context(), file, g, within, work)
			}
			work := upgrade.Run
			if standby {
				work = upgrade.Standby
			}
			err = a.withProgress(c.Context(), file, within, func() error { return work(c.Context(), file, o) })
			if err != nil {
				return withFolder(file, err)
			}
			return a.sayWhereItEnded(c.Context(), file)
		},
	}
	c.Flags().StringVar(&until, "until", "", "stop once this `PHASE` is complete")
	c.Flags().BoolVar(&cutover, "cutover", false, "go through the cutover and end")
	c.Flags().BoolVar(&standby, "standby", false, "wait, and lead once there is no leader any more")
	complete(c, "until", string(control.Building), string(control.Capturing), string(control.Copying), string(control.Following))
	return c
}

// withFolder adds to a server that cannot be reached what is found without one: the
// migrations folder is not as it must be. A run that is under way goes on without it.
func withFolder(file *planfile.File, err error) error {
	var unconnected *pgconn.ConnectError
	if file.Migrations.Path == "" || !errors.As(err, &unconnected) {
		return err
	}
	_, mistake := migrations.Read(file.Migrations.Path)
	return errors.Join(mistake, err)
}

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Prove the shadow equal to production, under live writes, now",
		Long: `Compares every table's rows exactly, at one snapshot for each group of rows, while
production takes writes. Columns whose values nothing can repeat (random
defaults, sequences) are left out, by name. Exit code 3 when rows differ.`,
		Example: `  pgumbra verify --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			file, g, err := a.loadGroup()
			if err != nil {
				return err
			}
			defer a.tellWaits(c.Context(), file)()
			if g != nil {
				return a.verifyGroup(c.Context(), g, file)
			}
			var verdicts []upgrade.TableVerdict
			err = a.patiently(c.Context(), "comparing every row", func(ctx context.Context) (err error) {
				verdicts, err = upgrade.Verify(ctx, file, a.log)
				return err
			})
			if err != nil {
				return err
			}
			if err := a.printVerdicts(os.Stdout, verdicts); err != nil {
				return err
			}
			for _, v := range verdicts {
				if !v.Verdict.Equal {
					return &upgrade.Different{Table: v.Table, Verdict: v.Verdict}
				}
			}
			return nil
		},
	}
}

// complete lets shells offer the values of a flag.
func complete(c *cobra.Command, flag string, values ...string) {
	// An error says that the flag does not exist, which the first use would show.
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}
