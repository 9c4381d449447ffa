package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/group"
)

// ofOne are the commands that look at one database of a group by --database, and do
// nothing to it alone.
var ofOne = []string{"plan", "status", "verify", "history", "report", "rehearse", "pause", "resume", "workers"}

// loadGroup is [app.load] for commands that are for groups too: nil where the file is of
// one database, or one was chosen.
func (a *app) loadGroup() (*planfile.File, *group.Group, error) {
	file, err := a.loadAny()
	if err != nil || !file.Grouped() {
		return file, nil, err
	}
	if a.database == "" {
		return file, group.Open(file, a.log), nil
	}
	file, err = a.chosen(file)
	return file, nil, err
}

// chosen is the file of the database that --database names.
func (a *app) chosen(file *planfile.File) (*planfile.File, error) {
	one, ok := file.Database(a.database)
	names := strings.Join(file.MemberNames(), ", ")
	switch {
	case a.database == "":
		return nil, &usageError{&chooseError{a.command, file.MemberNames()}}
	case !ok:
		return nil, &usageError{fmt.Errorf("--database %q: the plan file lists %s", a.database, names)}
	case !slices.Contains(ofOne, a.command):
		return nil, &usageError{fmt.Errorf("pgumbra %s is for all databases of a group at once: leave --database out", a.command)}
	}
	a.file = one
	return one, nil
}

// chooseError: the command is for one database, and the plan file lists several.
type chooseError struct {
	command   string
	databases []string
}

func (e *chooseError) Error() string {
	return fmt.Sprintf("pgumbra %s is for one database: choose one of %s by --database", e.command, strings.Join(e.databases, ", "))
}

// next is the command to type.
func (e *chooseError) next(flags string) string {
	return fmt.Sprintf("pgumbra %s%s --database %s", e.command, flags, e.databases[0])
}

// databases are the files of the databases that a plan file is of.
func databases(file *planfile.File) []*planfile.File {
	if file.Grouped() {
		return file.Members
	}
	return []*planfile.File{file}
}

// printGroup prints where a group stands. A group that is divided is an error too.
func (a *app) printGroup(ctx context.Context, w io.Writer, g *group.Group) error {
	s, err := g.ReadStatus(ctx)
	if err != nil {
		return err
	}
	if a.json {
		err = json.NewEncoder(w).Encode(s)
	} else {
		err = sayOn(w, a.groupText(s, widthOfWriter(w)))
	}
	if err == nil && s.Divided != "" {
		err = s.Err()
	}
	return err
}

// watchGroup shows a group's status again and again, until it is over. On a terminal each
// takes the place of the last one.
func (a *app) watchGroup(ctx context.Context, g *group.Group) error {
	repaint := &screen{file: os.Stdout}
	for {
		s, err := g.ReadStatus(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			a.log.Warn("status could not be read; asking again", "error", pg.Redact(err.Error()))
		case a.json:
			err = json.NewEncoder(os.Stdout).Encode(s)
		case !term.IsTerminal(int(os.Stdout.Fd())):
			err = say(a.groupText(s, 0) + "\n")
		default:
			width := widthOf(os.Stdout) - 1
			repaint.show(strings.Split(human.Fold(a.groupText(s, width), width), "\n"))
		}
		if err == nil && (s.Phase == nil && !planned(s) || s.Phase != nil && s.Phase.Over()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchEvery):
		}
	}
}

// planned: a process plans the run of some database.
func planned(s *group.Status) bool {
	return slices.ContainsFunc(s.Members, func(m *upgrade.Status) bool { return m.PlanningSince != nil })
}

// groupWork does what may take long, with progress, and says where it ended.
func (a *app) groupWork(ctx context.Context, file *planfile.File, g *group.Group, to place, f func() error) error {
	if err := a.withProgress(ctx, file, to, f); err != nil {
		return err
	}
	return a.printGroup(ctx, os.Stdout, g)
}

// gravity of exit codes, the gravest first: what of several is the code of all.
var gravity = []int{exitUnknown, exitFindings, exitError, exitLed, exitNotNow, exitUsage, exitInterrupted, exitDone}

// gravest is the exit code of what went wrong with several databases.
func gravest(e *group.Error) int {
	code := exitDone
	for _, m := range e.Members {
		if one := exitCode(m.Err); slices.Index(gravity, one) < slices.Index(gravity, code) {
			code = one
		}
	}
	return code
}
