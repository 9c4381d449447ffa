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
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/report"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/group"
)

// ofOne are the commands that look at one database of a group by --database, and do
// nothing to it alone.
var ofOne = []string{"plan", "status", "verify", "history", "report", "rehearse", "pause", "resume"}

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

// groupText is a line a database, and what to type last.
func (a *app) groupText(s *group.Status, width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %s, %s\n", "group", s.Run, human.Plural(len(s.Members), "database"))
	if s.Divided != "" {
		fmt.Fprintf(&b, "%-8s %s\n", "DIVIDED", s.Divided)
	}
	b.WriteString("\n")
	c := human.Columns{Heads: []string{"DATABASE", "PHASE", "PENDING", "VERIFIED", "STANDS"}, Spare: []string{"VERIFIED", "PENDING"}}
	for _, m := range s.Members {
		phase, verified := "-", 0
		if m.Phase != nil {
			phase = strings.ReplaceAll(string(*m.Phase), "_", " ")
		}
		for _, t := range m.Tables {
			if t.VerifiedAt != nil {
				verified++
			}
		}
		c.Add(m.Member, phase, human.Count(m.Journal.Pending), fmt.Sprintf("%d of %d", verified, len(m.Tables)), human.OneLine(stands(m)))
	}
	c.Fit(width)
	_ = c.Write(&b)
	fmt.Fprintf(&b, "\npgumbra status --database %s%s shows all of one.\nNext: %s", s.Members[0].Member, a.planFlag(), a.nextOfGroup(s))
	return b.String()
}

// stands is what there is to say of a database in a few words.
func stands(s *upgrade.Status) string {
	switch {
	case s.PlanningSince != nil:
		return "being planned"
	case s.Phase == nil && s.Away != "":
		return "cannot be asked: " + s.Away
	case s.Phase == nil:
		return "no run"
	case s.Failure != "":
		return "stopped: " + s.Failure
	case s.Suspended != "":
		return "suspended with the group: " + s.Suspended
	case s.Away != "":
		return "away: " + s.Away
	case isBack(s) && s.Phase.Over():
		return strings.TrimSuffix(rollbackText(s), ".")
	case s.Phase.Over():
		return "over"
	case s.Phase.Swapped():
		return cutoverText(s)
	case s.Throttled != "":
		return "paused: " + s.Throttled
	case s.Work != nil:
		return workText(s.Work)
	case s.Ready:
		return "ready"
	case len(s.Blockers) > 0:
		return "not ready: " + s.Blockers[0]
	}
	return "not ready"
}

// nextOfGroup is the command that fits the database that is least far.
func (a *app) nextOfGroup(s *group.Status) string {
	if s.Divided != "" {
		return "pgumbra run" + a.planFlag() + " takes the other databases over at once, before all else"
	}
	if s.Phase == nil && slices.ContainsFunc(s.Members, func(m *upgrade.Status) bool { return m.Away != "" }) {
		return "pgumbra status" + a.planFlag() + " again, once all databases answer; until then the others wait, and what is written is recorded"
	}
	if s.Phase == nil {
		return "pgumbra run" + a.planFlag()
	}
	for _, m := range s.Members {
		if m.Phase != nil && *m.Phase == *s.Phase && (!m.Ready || s.Ready) {
			return a.nextOf(m)
		}
	}
	return a.nextOf(s.Members[0])
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

// work does what may take long, with progress, and says where it ended.
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

// whereGroupStands is what a command that failed says of each database.
func (a *app) whereGroupStands() string {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	var all []string
	for _, m := range a.file.Members {
		s, err := upgrade.ReadStatus(ctx, m)
		switch {
		case err != nil:
			all = append(all, m.Member+": not known")
		case s.Phase == nil:
			all = append(all, m.Member+": has not begun")
		case s.Failure != "":
			all = append(all, fmt.Sprintf("%s: phase %s, stopped: %s", m.Member, *s.Phase, s.Failure))
		default:
			all = append(all, fmt.Sprintf("%s: phase %s", m.Member, *s.Phase))
		}
	}
	return "The databases of the group:\n  " + strings.Join(all, "\n  ")
}

// nextOfGroupError is what to type after an error that is the group's alone.
func (a *app) nextOfGroupError(err error) string {
	p := a.planFlag()
	switch {
	case errors.Is(err, group.ErrDivided):
		return "pgumbra run" + p + " takes the other databases over at once, before all else; nothing is lost until then"
	case errors.Is(err, upgrade.ErrInGroup):
		return "the same command with the plan file that the run was begun with: --plan FILE"
	}
	return ""
}
