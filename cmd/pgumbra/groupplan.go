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

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/plans/report"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/group"
)

// What plan, verify and cutover --check say of a group: of each database what they say
// of one.

// planGroup prints the plan of each database.
func (a *app) planGroup(ctx context.Context, g *group.Group, file *planfile.File, outputs []output, options report.Options) error {
	if slices.ContainsFunc(outputs, func(to output) bool { return to.format == "html" }) {
		return &usageError{&chooseError{"plan --format html", file.MemberNames()}}
	}
	all, err := g.Plan(ctx)
	if err != nil {
		return err
	}
	err = writePlan(outputs, options, func(w io.Writer, o report.Options) error { return a.writePlans(w, file, all, o) })
	if err != nil {
		return err
	}
	var blocked group.Error
	for i, plan := range all {
		if !plan.Runnable && !plan.NothingToDo {
			blocked.Members = append(blocked.Members, group.MemberError{Name: file.Members[i].Member, Err: &upgrade.Blocked{Plan: plan}})
		}
	}
	if len(blocked.Members) > 0 {
		return &blocked
	}
	return a.sayPlanned(outputs, all[0])
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
	Plan   report.Document `json:"plan"`
}

func (a *app) writePlans(w io.Writer, file *planfile.File, all []*plans.Plan, options report.Options) error {
	if options.Format == "json" {
		d := groupPlan{Run: file.Name, Runnable: true}
		for i, plan := range all {
			d.Runnable = d.Runnable && plan.Runnable
			d.Members = append(d.Members, memberPlan{Member: file.Members[i].Member, Plan: report.DocumentOf(plan)})
		}
		return json.NewEncoder(w).Encode(d)
	}
	for i, plan := range all {
		title := "Database " + file.Members[i].Member
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

// verifyGroup compares all databases and says which differ.
func (a *app) verifyGroup(ctx context.Context, g *group.Group, file *planfile.File) error {
	var all map[string][]upgrade.TableVerdict
	err := a.patiently(ctx, "comparing every row of each database", func(ctx context.Context) (err error) {
		all, err = g.Verify(ctx)
		return err
	})
	if err != nil {
		return err
	}
	d := groupVerify{Run: file.Name, Equal: true}
	var differ group.Error
	for _, name := range file.MemberNames() {
		one := verified(file.Name, all[name])
		d.Equal = d.Equal && one.Equal
		d.Members = append(d.Members, memberVerify{Member: name, verifyDocument: one})
		for _, v := range one.Tables {
			if !v.Verdict.Equal {
				differ.Members = append(differ.Members, group.MemberError{Name: name, Err: &upgrade.Different{Table: v.Table, Verdict: v.Verdict}})
			}
		}
	}
	if err := a.printGroupVerify(d, all); err != nil || d.Equal {
		return err
	}
	return &differ
}

func (a *app) printGroupVerify(d groupVerify, all map[string][]upgrade.TableVerdict) error {
	if a.json {
		return json.NewEncoder(os.Stdout).Encode(d)
	}
	for _, m := range d.Members {
		if _, err := fmt.Fprintf(os.Stdout, "Database %s\n", m.Member); err != nil {
			return err
		}
		if err := a.printVerdicts(os.Stdout, all[m.Member]); err != nil {
			return err
		}
	}
	return nil
}

// groupVerify is what verify --json prints of a group.
type groupVerify struct {
	Run     string         `json:"run"`
	Equal   bool           `json:"equal"` // in all databases
	Members []memberVerify `json:"members"`
}

// memberVerify is that of one database.
type memberVerify struct {
	Member string `json:"member"`
	verifyDocument
}

// checkDocument is the answer of cutover --check.
type checkDocument struct {
	Run      string         `json:"run"`
	Ready    bool           `json:"ready"`
	Blockers []checkBlocker `json:"blockers"`
}

// checkBlocker stands against a cutover now.
type checkBlocker struct {
	Member string `json:"member,omitempty"` // of a group, the database
	cutover.Blocker
}

// check looks what stands against a cutover, in each database of a group.
func (a *app) check(ctx context.Context, file *planfile.File, g *group.Group) error {
	var against []checkBlocker
	if g == nil {
		found, err := upgrade.CheckCutover(ctx, file, a.log)
		if err != nil {
			return err
		}
		for _, b := range found {
			against = append(against, checkBlocker{Blocker: b})
		}
		return a.sayCheck(file.Name, against)
	}
	found, err := g.CheckCutover(ctx)
	if err != nil {
		return err
	}
	for i, blockers := range found {
		for _, b := range blockers {
			against = append(against, checkBlocker{file.Members[i].Member, b})
		}
	}
	return a.sayCheck(file.Name, against)
}

func (a *app) sayCheck(run string, against []checkBlocker) error {
	if a.json {
		err := json.NewEncoder(os.Stdout).Encode(checkDocument{Run: run, Ready: len(against) == 0, Blockers: append([]checkBlocker{}, against...)})
		return errors.Join(err, notNow(against))
	}
	if len(against) == 0 {
		return say("Nothing stands against a cutover now. What an attempt alone shows: whether its locks come in time.\nNext: pgumbra cutover" + a.planFlag())
	}
	var b strings.Builder
	for _, x := range against {
		of := ""
		if x.Member != "" {
			of = x.Member + ": "
		}
		fmt.Fprintf(&b, "- %s%s (%s)\n  to do: %s\n", of, human.OneLine(x.Message), x.Code, human.OneLine(withPlan(x.Fix, a.planFlag())))
	}
	return errors.Join(say(strings.TrimSuffix(b.String(), "\n")), notNow(against))
}

func notNow(against []checkBlocker) error {
	if len(against) == 0 {
		return nil
	}
	return fmt.Errorf("a cutover is %w: %s", upgrade.ErrNotNow, human.Plural(len(against), "reason")+" against it")
}
