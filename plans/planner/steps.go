package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/behind"
	"github.com/pgumbra/pgumbra/plans/planner/estimate"
)

// The words of a step's lock where production's tables are not locked, or only
// as a SELECT locks them.
const (
	noLock      = "none"
	accessShare = "ACCESS SHARE"
	likeSelect  = "nobody but ALTER TABLE, VACUUM FULL and the like, as for a SELECT"
	nobody      = "nobody"
	shadowOnly  = "nobody: the shadow's tables have no other users"
	runID       = "<run>" // stands for the number that a run gets when it begins
)

// Slot stands among a step's statements for what they are told by that will do them: these
// are not written down a second time, so that what is shown is what runs. Copy, replay,
// views, validation and the look for old snapshots are shown in outline instead, by texts
// of this package (steps_sql.go): what they send depends on page ranges, batches and keys.
type Slot = string

// The slots.
const (
	SlotSessions   Slot = "{sessions}"
	SlotWriteBlock Slot = "{write block}"
	SlotTrial      Slot = "{trial}"
	SlotFence      Slot = "{fence}"
	SlotReady      Slot = "{ready}"
	SlotSequences  Slot = "{sequences}"
	SlotSuccession Slot = "{succession}"
	SlotStructure  Slot = "{structure}"
	SlotDefaults   Slot = "{defaults}"
	SlotReverse    Slot = "{reverse}"
	SlotWayBack    Slot = "{way back}"
	SlotNoWayBack  Slot = "{no way back}"
	SlotOpen       Slot = "{open}"
	SlotGuards     Slot = "{guards}"
	SlotOldSide    Slot = "{old side}"
	SlotVersion    Slot = "{version}"
	SlotNames      Slot = "{names}"
	SlotAfter      Slot = "{after}"
	SlotCapture    Slot = "{capture}"
	SlotFinish     Slot = "{finish}"
	SlotDropOld    Slot = "{drop old}"
)

// IsSlot reports whether an element of a step's statements is a slot.
func IsSlot(text string) bool { return strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") }

// estimateAll closes the plan with what it costs and the steps it takes.
func (m *site) estimateAll(ctx context.Context) error {
	if slices.ContainsFunc(m.plan.Findings, func(f plans.Finding) bool { return f.Code == "transform-invalid" || f.Code == "transform-reads-tables" }) {
		m.plan.Steps = steps(m.plan)
		return nil // the sample would run the same expressions
	}
	shadow := m.db
	if m.plan.Remote {
		shadow = m.side.db
	}
	var err error
	if m.plan.Estimates, err = estimate.Of(ctx, m.db, shadow, m.plan); err != nil {
		return err
	}
	m.plan.Steps = steps(m.plan)
	return nil
}

// steps is what a run does besides capturing, in order, with its statements. Numbers that
// only a run knows (its own, snapshots, page ranges) appear in angle brackets.
func steps(p *plans.Plan) []plans.Step {
	building, cutover, watching := buildingSteps, cutoverSteps, watchingSteps
	if p.Remote {
		building, cutover, watching = buildingRemote, cutoverRemote, watchingRemote
	}
	all := slices.Concat(building(p), copyingSteps(p), followingSteps(p), cutover(p), watching(p))
	return slices.DeleteFunc(all, func(s plans.Step) bool { return len(s.SQL) == 0 })
}

func buildingSteps(p *plans.Plan) []plans.Step {
	return []plans.Step{
		{Phase: "building", Title: "Make the control schema", Lock: noLock, Waits: nobody,
			SQL: []string{"CREATE SCHEMA IF NOT EXISTS pgumbra", SlotSessions}},
		{Phase: "building", Title: "Make the shadow's structure, tables without indexes", Lock: noLock, Waits: shadowOnly,
			SQL: entrySQL(p, plans.StageBuild)},
		{Phase: "building", Title: "Put in the rows that the migrations inserted into new tables", Lock: noLock, Waits: shadowOnly,
			SQL: putInSQL(p)},
		closeStep(p),
	}
}

func copyingSteps(p *plans.Plan) []plans.Step {
	var copies, derived []string
	for i := range p.Tables {
		t := &p.Tables[i]
		switch {
		case t.Feed == plans.Derived:
			derived = append(derived, intoShadow(p, t, "(\n"+t.From+"\n) AS q"))
		case t.Feed == plans.Copied && t.Source >= 0 && t.Source < len(p.Sources):
			copies = append(copies, copySQL(p, t))
		}
	}
	return []plans.Step{
		{Phase: "copying", Title: fmt.Sprintf("Copy the rows, %d workers, a short transaction for each range of pages", p.Settings.Copy.Workers),
			Lock: accessShare, Waits: likeSelect, SQL: copies},
		{Phase: "copying", Title: "Fill the derived tables", Lock: accessShare, Waits: likeSelect, SQL: derived},
		{Phase: "copying", Title: "Build the indexes of the keys", Lock: noLock, Waits: shadowOnly, SQL: entrySQL(p, plans.StageKey)},
	}
}

func followingSteps(p *plans.Plan) []plans.Step {
	var replay, refresh, analyze []string
	for i := range p.Tables {
		t := &p.Tables[i]
		if t.Feed != plans.Copied && t.Feed != plans.Derived && t.Feed != plans.Carried {
			continue
		}
		analyze = append(analyze, "VACUUM (ANALYZE) "+t.Shadow.Quoted())
		if t.Feed != plans.Carried {
			replay = append(replay, replaySQL(p, t)...)
		}
	}
	for _, v := range p.MaterializedViews() {
		if slices.Contains(p.Matviews, v.Shadow) {
			refresh = append(refresh, "REFRESH MATERIALIZED VIEW "+v.Shadow.Quoted(), "ANALYZE "+v.Shadow.Quoted())
		} else {
			refresh = append(refresh, "REFRESH MATERIALIZED VIEW "+v.Shadow.Quoted()+" WITH NO DATA -- as production's is")
		}
	}
	return []plans.Step{
		{Phase: "following", Title: "Build the other indexes and constraints, after the first catch-up", Lock: noLock, Waits: shadowOnly,
			SQL: slices.Concat(entrySQL(p, plans.StageIndex), entrySQL(p, plans.StageLate))},
		{Phase: "following", Title: "Vacuum and analyze the shadow", Lock: noLock, Waits: shadowOnly, SQL: analyze},
		{Phase: "following", Title: "Fill the materialized views, and again before the cutover", Lock: noLock, Waits: shadowOnly, SQL: refresh},
		{Phase: "following", Title: "Replay what was recorded, batch after batch, and verify every table exactly",
			Lock: accessShare, Waits: likeSelect, SQL: replay},
		{Phase: "following", Title: "Try the swap on the shadow, time it, and roll it back", Lock: noLock, Waits: shadowOnly, SQL: []string{SlotTrial}},
	}
}

func cutoverSteps(p *plans.Plan) []plans.Step {
	c := p.Settings.Cutover
	mode, waiters := fenceMode(p)
	stall := fmt.Sprintf("%s from here to the commit wait for at most %s (cutover.max_stall and a tenth); past it all is undone and tried again, up to %d times",
		waiters, human.Duration(c.Longest()), c.Attempts)
	held := "as at the fence, which holds until the commit"
	return []plans.Step{
		wayBackStep(),
		{Phase: "cutover", Title: "Fence: stop writes to production", Lock: mode, SQL: append(viewLocks(p), SlotFence),
			Waits: fmt.Sprintf("we wait for open transactions that wrote, at most %s for all tables together (cutover.lock_timeout); %s", human.Duration(c.LockTimeout), stall)},
		{Phase: "cutover", Title: "Drain: replay the last changes; wait until no older snapshot is left", Lock: mode, Waits: held,
			SQL: []string{"SELECT pid, backend_xmin FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND datname = current_database()"}},
		{Phase: "cutover", Title: "Set the shadow's own sequences", Lock: mode, Waits: held, SQL: []string{SlotSequences}},
		{Phase: "cutover", Title: "Add foreign keys (not validated yet), triggers, rules and checks that would have acted on the copy", Lock: mode, Waits: held,
			SQL: []string{SlotStructure}},
		{Phase: "cutover", Title: "Open the shadow", Lock: mode, Waits: held, SQL: openSQL(p)},
		behindStep(p, mode, held),
		{Phase: "cutover", Title: "Guard the new tables against statements with an older snapshot; record changes for the way back; close the old tables",
			Lock: mode, Waits: held, SQL: []string{SlotReverse, SlotGuards, SlotOldSide}},
		{Phase: "cutover", Title: "Swap the names and commit", Lock: swapLock(p, mode), Waits: held, SQL: swapSQL()},
	}
}

// wayBackStep is before the first client waits.
func wayBackStep() plans.Step {
	return plans.Step{Phase: "cutover", Title: "Make the capture of the way back on the shadow's tables; it is silent until the swap",
		Lock: "SHARE ROW EXCLUSIVE on the shadow's tables", Waits: "nobody but our own batches and VACUUM: the shadow's tables have no other users", SQL: []string{SlotWayBack}}
}

// noWayBackStep is the end of the watch for the tables that clients use by then.
func noWayBackStep() plans.Step {
	return plans.Step{Phase: "finished", Title: "Drop the capture of the way back", Lock: "ACCESS EXCLUSIVE",
		Waits: "readers and writers of one table at a time, 100 ms an attempt, repeated until it was got at once", SQL: []string{SlotNoWayBack}}
}

// behindStep is told under the names that hold when it runs: those of the swap,
// which comes before it then.
func behindStep(p *plans.Plan, mode, held string) plans.Step {
	s := plans.Step{Phase: "cutover", Title: "Swap the names and run the migrations that are not understood, for real", Lock: mode,
		Waits: held + "; readers go on with the old tables until the commit"}
	if p.Remote {
		s.Title, s.Waits = "In the same transaction, run the migrations that are not understood, for real", held
	}
	if p.Behind == nil {
		return s
	}
	for _, f := range p.Behind.All() {
		s.SQL = append(s.SQL, behind.Describe(f, p.Behind.Each)...)
	}
	return s
}

// fenceMode is the lock of the fence and who waits for it.
func fenceMode(p *plans.Plan) (mode, waiters string) {
	if p.Moves() {
		return "ACCESS EXCLUSIVE", "readers and writers (readers not where every extension of the schema can move along: then it is EXCLUSIVE and a rename)"
	}
	return "EXCLUSIVE", "writers and SELECT FOR UPDATE (plain readers never)"
}

func swapLock(p *plans.Plan, mode string) string {
	if p.Moves() {
		return mode
	}
	return mode + " from the fence; the rename itself locks no table. Shared sequences: ACCESS EXCLUSIVE, nextval waits for the commit"
}

func watchingSteps(p *plans.Plan) []plans.Step {
	return []plans.Step{
		{Phase: "watching", Title: "Drop the write block, the guard and the capture of the old tables", Lock: "ACCESS EXCLUSIVE",
			Waits: "readers and writers of one table at a time, 100 ms an attempt, repeated until it was got at once", SQL: []string{SlotAfter, SlotCapture}},
		{Phase: "watching", Title: "Validate the foreign keys", Lock: "SHARE UPDATE EXCLUSIVE, ROW SHARE on the referenced table",
			Waits: "nobody but DDL and VACUUM of that table", SQL: validateSQL(p)},
		noWayBackStep(),
		{Phase: "finished", Title: "End the watch; finish --drop-old drops the old side too", Lock: noLock,
			Waits: "nobody: the old side has no users", SQL: []string{SlotFinish, SlotDropOld}},
	}
}

func entrySQL(p *plans.Plan, stage plans.Stage) []string {
	var all []string
	for _, e := range p.Entries {
		if e.Stage == stage {
			all = append(all, statementText(e.SQL))
		}
	}
	return all
}

// statementText is without the blank lines that pg_dump puts between statements.
func statementText(sql string) string {
	return strings.TrimSpace(strings.ReplaceAll(sql, ";\n\n\n", ";\n"))
}

func putInSQL(p *plans.Plan) []string {
	var all []string
	for i := range p.Tables {
		t := &p.Tables[i]
		if t.Feed != plans.Carried || t.CarriedRows == "" {
			continue
		}
		rows := strings.Count(t.CarriedRows, "\n")
		all = append(all, fmt.Sprintf("COPY %s%s FROM STDIN -- %s rows", t.Shadow.Quoted(), columnList(t.Columns), human.Count(int64(rows))))
	}
	return all
}

func columnList(columns []plans.Column) string {
	var names []string
	for _, c := range columns {
		if !c.Generated {
			names = append(names, c.Shadow)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + pg.Idents(names) + ")"
}
