package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgumbra/pgumbra/upgrade"
)

func (a *app) cutoverCommand() *cobra.Command {
	var check bool
	var at string
	var window time.Duration
	c := &cobra.Command{
		Use:   "cutover",
		Short: "Put the shadow in production's place",
		Long: `Locks production for milliseconds, replays what is left, and swaps the names. Where
pgumbra run leads, it does the work and this command waits for it; once this
command has ended, in whatever way, nothing is asked for any more. Otherwise it
catches up first. When it is not possible now, nothing has changed and the exit
code is 6.

--check only looks, at what an attempt looks at before it asks for a lock, and
changes nothing. Exit code 0 when one would be made now, else 6 with what stands
against it. What only the leader does then, to verify the last changes, to ask a
hook, may stand against it still.
--at waits until then, and follows meanwhile where no other process does.
--window tries again, from the start or from --at on, for as long as this.`,
		Example: `  pgumbra cutover --check
  pgumbra cutover --at 02:00 --window 30m`,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := a.window(at, window, time.Now())
			if err != nil {
				return err
			}
			if check && (at != "" || window != 0) {
				return &usageError{errors.New("--check looks now: use it without --at and --window")}
			}
			file, g, err := a.loadGroup()
			if err != nil {
				return err
			}
			defer a.tellWaits(c.Context(), file)()
			if check {
				return a.check(c.Context(), file, g)
			}
			if !o.NotBefore.IsZero() {
				a.log.Info("the cutover waits for its time", "until", o.NotBefore.Format(time.DateTime+" MST"))
			}
			a.ends = true
			if g != nil {
				return a.groupWork(c.Context(), file, g, beside, func() error { return g.Cutover(c.Context(), o) })
			}
			err = a.withProgress(c.Context(), file, beside, func() error { return upgrade.Cutover(c.Context(), file, o) })
			if err != nil {
				return err
			}
			return a.sayWhereItEnded(c.Context(), file)
		},
	}
	c.Flags().BoolVar(&check, "check", false, "only look whether a cutover would be tried now")
	c.Flags().StringVar(&at, "at", "", "not before this `TIME`: 02:00, \"2026-11-27 02:00\" or 2026-11-27T02:00:00+01:00")
	c.Flags().DurationVar(&window, "window", 0, "try for as long as this, however many attempts that is")
	return c
}

// window is when attempts may be made.
func (a *app) window(at string, window time.Duration, now time.Time) (upgrade.Options, error) {
	o := upgrade.Options{Program: versionText(), Log: a.log}
	var err error
	if at != "" {
		if o.NotBefore, err = parseTime(at, now); err != nil {
			return o, err
		}
	}
	switch {
	case window < 0:
		return o, &usageError{fmt.Errorf("--window %s is in the past", window)}
	case window > 0 && o.NotBefore.IsZero():
		o.NotAfter = now.Add(window)
	case window > 0:
		o.NotAfter = o.NotBefore.Add(window)
	}
	return o, nil
}

// parseTime reads a time of day, which is the next one, or a moment. Without a zone
// it is this machine's.
func parseTime(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{"15:04", time.TimeOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			if !t.After(now) {
				t = t.AddDate(0, 0, 1)
			}
			return t, nil
		}
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", time.DateTime, "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		t, err := time.ParseInLocation(layout, text, now.Location())
		switch {
		case err != nil:
		case !t.After(now):
			return t, &usageError{fmt.Errorf("--at %s is in the past; it is %s now", text, now.Format(time.DateTime+" MST"))}
		default:
			return t, nil
		}
	}
	return now, &usageError{fmt.Errorf("--at %q is no time: write 02:00, \"2026-11-27 02:00\" or 2026-11-27T02:00:00+01:00", text)}
}
