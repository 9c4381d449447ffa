package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/shadow"
	"github.com/pgumbra/pgumbra/upgrade"
)

func (a *app) workersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "workers N",
		Short: "Copy with more or fewer sessions, from any machine; 0: as the plan file says",
		Long: `The process that leads the run goes on copying with so many sessions, within a
second or two: new ones begin at once, those that are too many end after the chunk
that they are at. It holds for the indexes of the stages to come too, and for
whoever leads the run later, until pgumbra workers 0 takes copy.workers of the plan
file again. At most 32; more by copy.workers, which counts when pgumbra run begins.`,
		Example: `  pgumbra workers 1    # production needs rest, but a pause would be too long
  pgumbra workers 8    # at night
  pgumbra workers 0`,
		Args: func(c *cobra.Command, args []string) error {
			a.command = c.Name()
			if len(args) != 1 {
				return &usageError{errors.New("pgumbra workers takes one number, 0 for what the plan file says")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 0 || n > shadow.MostWorkers {
				return &usageError{fmt.Errorf("pgumbra workers %q: write a number from 1 to %d, or 0 for what the plan file says", args[0], shadow.MostWorkers)}
			}
			return a.setWorkers(c, n)
		},
	}
}

func (a *app) setWorkers(c *cobra.Command, n int) error {
	file, err := a.load()
	if err != nil {
		return err
	}
	if err := upgrade.SetWorkers(c.Context(), file, n); err != nil {
		return err
	}
	if a.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"run": file.Name, "workers": n})
	}
	number := fmt.Sprint(n)
	if n == 0 {
		number = fmt.Sprintf("%d, as the plan file says", file.Settings.Copy.Workers)
	}
	s, err := upgrade.ReadStatus(c.Context(), file)
	text := "Workers that copy, within a second or two: " + number + ".\nNext: pgumbra status" + a.planFlag() + " --watch"
	switch {
	case err != nil:
	case !s.Copies():
		text = "Nothing is being copied now. For indexes that are to come, and tables that have to be copied again: " + number + ".\nNext: pgumbra status" + a.planFlag()
	case s.Leader == nil:
		text = "Workers that copy, once somebody leads the run: " + number + ".\nNext: pgumbra run" + a.planFlag()
	}
	return say(text)
}
