package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/group"
)

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
		if err := say(m.Member + ": " + finishedText(file.Name, old, all[i], left != upgrade.KeepRecord)); err != nil {
			return err
		}
	}
	return nil
}
