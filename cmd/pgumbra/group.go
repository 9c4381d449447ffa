package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/report"
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
		return nil, &usageError{fmt.Errorf("pgumbra %s is for one database: choose one of %s by --database", a.command, names)}
	case !ok:
		return nil, &usageError{fmt.Errorf("--database %q: the plan file lists %s", a.database, names)}
	case !slices.Contains(ofOne, a.command):
		return nil, &usageError{fmt.Errorf("pgumbra %s is for all databases of a group at once: leave --database out", a.command)}
	}
	a.file = one
	return one, nil
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
		err = group.ErrDivided
	}
	return err
}

// watchGroup shows a group's status again and again, until it is over.
func (a *app) watchGroup(ctx context.Context, g *group.Group) error {
	for {
		s, err := g.ReadStatus(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			a.log.Warn("status could not be read; asking again", "error", pg.Redact(err.Error()))
		case a.json:
			err = json.NewEncoder(os.Stdout).Encode(s)
		default:
			err = say(a.groupText(s, widthOf(os.Stdout)) + "\n")
		}
		if err == nil && (s.Phase == nil || s.Phase.Over()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchEvery):
		}
	}
}

// groupWork does what may take long, with progress, and says where it ended.
func (a *app) groupWork(ctx context.Context, file *planfile.File, g *group.Group, to place, f func() error) error {
	if err := a.withProgress(ctx, file, to, f); err != nil {
		return err
	}
	return a.printGroup(ctx, os.Stdout, g)
}

// planGroup prints the plan of each database.
func (a *app) planGroup(ctx context.Context, g *group.Group, file *planfile.File, output string, options report.Options) error {
	if options.Format == "html" {
		return &usageError{errors.New("--format html is of one database: choose one by --database")}
	}
	var all []*plans.Plan
	err := a.patiently(ctx, planning, func(ctx context.Context) (err error) {
		all, err = g.Plan(ctx)
		return err
	})
	if err != nil {
		return err
	}
	err = writeReport(output, options.Format, func(w io.Writer) error { return a.writePlans(w, file, all, options) })
	if err != nil {
		return err
	}
	for _, plan := range all {
		if !plan.Runnable && !plan.NothingToDo {
			return &upgrade.Blocked{Plan: plan}
		}
	}
	if options.Format == "text" || output != "" {
		return a.sayPlanned(output, all[0])
	}
	return nil
}

// groupPlan is what plan --json prints of a group.
type groupPlan struct {
	Run string `json:"run"`
	// Runnable: all databases' plans are.
	Runnable bool `json:"runnable"`
	// Members have the plan of each database, as of one.
	Members []memberPlan `json:"members"`
}

// memberPlan is that of one database.
type memberPlan struct {
	Member string          `json:"member"`
	Plan   json.RawMessage `json:"plan"`
}

func (a *app) writePlans(w io.Writer, file *planfile.File, all []*plans.Plan, options report.Options) error {
	names := file.MemberNames()
	if options.Format != "json" {
		for i, plan := range all {
			title := "Database " + names[i]
			if options.Format == "markdown" {
				title = "# " + title
			}
			if _, err := fmt.Fprintf(w, "%s\n\n", title); err != nil {
				return err
			}
			if err := report.Write(w, plan, options); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		return nil
	}
	d := groupPlan{Run: file.Name, Runnable: true}
	for i, plan := range all {
		var text strings.Builder
		if err := report.Write(&text, plan, options); err != nil {
			return err
		}
		d.Runnable = d.Runnable && plan.Runnable
		d.Members = append(d.Members, memberPlan{Member: names[i], Plan: json.RawMessage(text.String())})
	}
	return json.NewEncoder(w).Encode(d)
}

// verifyGroup compares all databases and says which differ.
func (a *app) verifyGroup(ctx context.Context, g *group.Group, file *planfile.File) error {
	all, err := g.Verify(ctx)
	if err != nil {
		return err
	}
	var documents []memberVerdict
	for _, name := range file.MemberNames() {
		documents = append(documents, memberVerdict{Member: name, verifyDocument: verified(file.Name, all[name])})
		if !a.json {
			if _, err := fmt.Fprintf(os.Stdout, "Database %s\n", name); err != nil {
				return err
			}
			if err := a.printVerdicts(os.Stdout, all[name]); err != nil {
				return err
			}
		}
	}
	if a.json {
		if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"run": file.Name, "members": documents}); err != nil {
			return err
		}
	}
	for _, d := range documents {
		for _, v := range d.Tables {
			if !v.Verdict.Equal {
				return &upgrade.Different{Table: v.Table, Verdict: v.Verdict}
			}
		}
	}
	return nil
}

// memberVerdict is verify's of one database.
type memberVerdict struct {
	Member string `json:"member"`
	verifyDocument
}

// abortGroup undoes the runs of all databases.
func (a *app) abortGroup(ctx context.Context, g *group.Group, file *planfile.File, left upgrade.Leftovers) error {
	var all []upgrade.Aborted
	err := a.patiently(ctx, "removing triggers and journals, then the shadow and scratch, of each database", func(ctx context.Context) (err error) {
		all, err = g.Abort(ctx, left)
		return err
	})
	if err != nil {
		return err
	}
	names := file.MemberNames()
	if a.json {
		members := []map[string]any{}
		for i, done := range all {
			members = append(members, map[string]any{"member": names[i], "existed": done.Existed, "looked_at": done.Looked, "remains": remaining(done)})
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"run": file.Name, "phase": "aborted", "members": members})
	}
	for i, done := range all {
		if err := say(names[i] + ": " + abortedText(file.Name, done)); err != nil {
			return err
		}
	}
	return nil
}

// finishGroup ends the watch of all databases.
func (a *app) finishGroup(ctx context.Context, g *group.Group, file *planfile.File, old cutover.OldSide, left upgrade.Leftovers, sure func(upgrade.OldSide) bool) error {
	all := make([]upgrade.OldSide, len(file.Members))
	var sum upgrade.OldSide
	for i, m := range file.Members {
		all[i], _ = upgrade.ReadOldSide(ctx, m) // finish itself says what is wrong
		for _, schema := range all[i].Schemas {
			sum.Schemas = append(sum.Schemas, m.Member+": "+schema)
		}
		sum.Bytes, sum.New = sum.Bytes+all[i].Bytes, sum.New || all[i].New
	}
	if !sure(sum) {
		return errDeclined
	}
	err := a.patiently(ctx, "ending the watch of each database", func(ctx context.Context) error { return g.Finish(ctx, old, left) })
	if err != nil {
		return err
	}
	if a.json {
		return a.sayPhase("", file.Name, "finished")
	}
	for i, m := range file.Members {
		if err := say(m.Member + ": " + finishedText(file.Name, old, all[i])); err != nil {
			return err
		}
	}
	return nil
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
