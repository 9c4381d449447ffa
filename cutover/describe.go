package cutover

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// untoldRun, untoldTable and untoldNumber stand in texts for numbers that only a run
// knows: its own, the oid of a table of the shadow, and where a sequence stands.
const (
	untoldRun    = 911_911_911_911
	untoldTable  = 4_011_911_911
	untoldNumber = 911_911_911_913

	untoldPlace = "<the shadow's server>"
)

// Told are the statements of a cutover and of what comes after it, for a dry run, by
// the very texts that are sent. Numbers that only a run knows are in angle brackets.
type Told struct {
	// Sessions tells those of this run's processes from all others, in each database.
	Sessions []string
	// WriteBlock keeps everybody else off the shadow, from its build on.
	WriteBlock []string
	// Ready is what another database needs before clients are held.
	Ready []string
	// Trial times the swap's statements on the shadow, and is rolled back.
	Trial []string
	// Fence stops writes to production, and keeps VACUUM off the shadow.
	Fence []string
	// Sequences of the shadow's own are set; Succession puts the others where
	// production's stand, at the end.
	Sequences, Succession []string
	// Structure and Defaults, which come last in another database, are entries of the
	// plan; Reverse is the look at the capture of the way back.
	Structure, Defaults, Reverse []string
	// Open lets everybody write to the shadow.
	Open []string
	// Guards refuse statements with an older snapshot.
	Guards []string
	// OldSide refuses writes from now on.
	OldSide []string
	// Version is golang-migrate's row, Names what makes clients' names lead to the shadow.
	Version, Names []string
	// After is what the swap leaves to be dropped; Finish ends the watch, DropOld the
	// old side too.
	After, Finish, DropOld []string
}

// ToldOfRows stands in a dry run beside the guards of tables that migrations behind the
// fence make: by names that only rows hold they may make others.
const ToldOfRows = "-- likewise each table that the migrations make of rows; it is vacuumed after the swap"

// ToldUnseen stands there where migrations fail on the structure without rows, so that
// nobody knows what they make.
const ToldUnseen = "-- likewise each table and materialized view that the migrations make: which, the trial shows; it is vacuumed after the swap"

// Describe tells what a cutover of a plan sends: what the steps of the protocol tell, and
// what comes before and after them. entries and reverse are what [Parts] will give the
// swap to run. It looks at production, and changes nothing.
func Describe(ctx context.Context, db pg.Querier, plan *plans.Plan, entries []plans.Entry, reverse string) (*Told, error) {
	f, err := foresee(ctx, db, plan)
	if err != nil {
		return nil, fmt.Errorf("tell what a cutover does: %w", err)
	}
	run := &control.Run{ID: untoldRun, Name: plan.Run, Plan: plan}
	dropped, err := dropTold(ctx, db, plan, f)
	if err != nil {
		return nil, fmt.Errorf("tell what finish drops: %w", err)
	}
	t := &Told{
		Sessions:   control.DescribeOurs(run, "<of the process that leads>"),
		WriteBlock: append(functionsTold(closedWriteBlock(run), writeBlockName(run)), writeBlocks(run, f.shadow)...),
		DropOld:    dropped,
	}
	a := &attempt{c: &Cutover{Upgrade: run, Parts: toldParts{entries: entries, reverse: reverse}}, plan: plan, facts: f,
		mark: "<xid of the drain>", sequences: untoldSuccessions(plan)}
	a.via = transportOf(a, plan.Remote, progress{Place: untoldPlace})
	for _, s := range protocol {
		if !s.when.holds(plan) {
			continue
		}
		if err := t.add(s.tell(a)); err != nil {
			return nil, err
		}
	}
	if plan.Remote {
		t.describeRemote(run, f)
	} else {
		t.describeLocal(run, f)
	}
	if plan.Behind != nil {
		for _, r := range slices.Concat(afterMigrations(plan, f.shadow), viewsAfterMigrations(plan)) {
			t.After = append(t.After, "VACUUM (ANALYZE) "+r.name.Quoted())
		}
	}
	t.name()
	return t, nil
}

// toldParts are those of a cutover that is only told: it is asked for these two alone.
type toldParts struct {
	Parts
	entries []plans.Entry
	reverse string
}

func (p toldParts) SwapEntries() []plans.Entry { return p.entries }
func (p toldParts) ReverseTriggers() string    { return p.reverse }

// errUnknownStage: somebody gave the swap a part, and did not say where it is told or how
// it is tried.
var errUnknownStage = errors.New("a stage that is not known")

// add puts texts where they belong, by the part of the swap that they are.
func (t *Told) add(texts []stage) error {
	slots := map[string]*[]string{
		"ready": &t.Ready, "fence": &t.Fence, "sequences": &t.Sequences, "succession": &t.Succession, "structure": &t.Structure,
		"default privileges": &t.Defaults, reverseStage: &t.Reverse, "gate": &t.Open, "guard": &t.Guards, "old side": &t.OldSide,
		"version": &t.Version, "names": &t.Names,
	}
	for _, s := range texts {
		slot, known := slots[s.name]
		if !known && !slices.Contains(untoldStages, s.name) {
			return fmt.Errorf("%w: %q, in a dry run", errUnknownStage, s.name)
		}
		if known {
			*slot = append(*slot, s.sql...)
		}
	}
	return nil
}

// untoldStages happen in the shadow's own database alone, to what has no other users.
var untoldStages = []string{"locks", "staging tables"}

// name puts words in the place of numbers that nobody knows yet.
func (t *Told) name() {
	words := strings.NewReplacer(fmt.Sprint(untoldRun), "<run>", fmt.Sprint(untoldTable), "<oid>",
		fmt.Sprint(untoldNumber), "<where it stands>", fmt.Sprint(math.MaxInt64), "<its end>")
	for _, texts := range [][]string{t.Sessions, t.WriteBlock, t.Ready, t.Trial, t.Fence, t.Sequences, t.Succession, t.Structure, t.Defaults, t.Reverse,
		t.Open, t.Guards, t.OldSide, t.Version, t.Names, t.After, t.Finish, t.DropOld} {
		for i, text := range texts {
			texts[i] = words.Replace(text)
		}
	}
}

// foresee are the facts of an attempt, as far as production and the plan tell them.
func foresee(ctx context.Context, db pg.Querier, plan *plans.Plan) (*facts, error) {
	f := new(facts)
	production, shadow := plan.SchemaNames()
	var err error
	if f.production, err = relations(ctx, db, production); err != nil {
		return nil, err
	}
	if f.sequences, err = continuing(ctx, db, plan, nil); err != nil {
		return nil, err
	}
	if f.outside, err = referenced(ctx, db, plan, production, shadow); err != nil {
		return nil, err
	}
	if plan.Reversible() {
		if err := f.gatherTaken(ctx, db, plan); err != nil {
			return nil, err
		}
	}
	for _, n := range plan.ShadowRelations() {
		f.shadow = append(f.shadow, relation{oid: untoldTable, name: n})
	}
	for i := range plan.Sources {
		for _, m := range plan.Sources[i].Members {
			f.captured = append(f.captured, capturedBy{table: m.Name, triggers: []string{"<each of capture's>"}})
		}
	}
	if !plan.Remote { // there an attempt finds out how the names are had
		for _, s := range plan.Schemas {
			moves, err := untoldMoves(ctx, db, plan, s)
			if err != nil {
				return nil, err
			}
			f.moves = append(f.moves, moves...)
		}
	}
	return f, nil
}

// afterMigrations are tables of the shadow by the names that they have when the migrations
// behind the fence have run, and those that these make.
func afterMigrations(plan *plans.Plan, shadow []relation) []relation {
	all := slices.Clone(shadow)
	for i := range all {
		all[i].name = plan.FinalName(all[i].name)
	}
	if plan.Behind == nil {
		return all
	}
	for _, n := range plan.Made("table", "partition") {
		all = append(all, relation{oid: untoldTable, name: n})
	}
	return all
}

// viewsAfterMigrations are the materialized views, likewise; none where no migrations run
// behind the fence: they have guards then alone.
func viewsAfterMigrations(plan *plans.Plan) (all []relation) {
	if plan.Behind == nil {
		return nil
	}
	for _, v := range plan.MaterializedViews() {
		all = append(all, relation{oid: untoldTable, name: plan.FinalName(v.Shadow)})
	}
	for _, n := range plan.Made("materialized view") {
		all = append(all, relation{oid: untoldTable, name: n})
	}
	return all
}

// untoldMoves are of a schema that holds more than what moves, in both ways: whether its
// extensions can go along an attempt finds out.
func untoldMoves(ctx context.Context, db pg.Querier, plan *plans.Plan, s plans.Schema) ([]move, error) {
	if s.Swap == plans.Rename {
		return []move{{schema: s}}, nil
	}
	extensions, err := extensionsIn(ctx, db, s.Production)
	if err != nil {
		return nil, err
	}
	for _, e := range plan.Entries { // the build makes those that the migrations bring
		if e.Tag == "EXTENSION" && e.Name.Schema == s.Production && !slices.Contains(extensions, e.Name.Name) {
			extensions = append(extensions, e.Name.Name)
		}
	}
	along, err := carried(ctx, db, s.Production, s.Shadow, relocate)
	if err != nil {
		return nil, err
	}
	apart, err := carried(ctx, db, s.Production, s.Old, objectByObject)
	if err != nil {
		return nil, err
	}
	one := move{schema: s, method: objectByObject, enter: s.MoveIn,
		carry: append([]string{"-- with the schema before this: where one of them cannot, object by object"}, apart...)}
	if err := one.leaving(ctx, db, plan); err != nil {
		return nil, err
	}
	return []move{
		{schema: s, extensions: extensions, carry: append([]string{"-- where all extensions of " + pg.Ident(s.Production) + " can go along"}, along...)},
		one,
	}, nil
}

func (t *Told) describeLocal(run *control.Run, f *facts) {
	tables, views := afterMigrations(run.Plan, f.shadow), viewsAfterMigrations(run.Plan)
	for i, r := range tables {
		t.After = append(t.After, undoGuards(r.name.Quoted(), readGuardName(run, i).Quoted())...)
	}
	for i, r := range views {
		t.After = append(t.After, undoViewGuard(r.name.Quoted(), readGuardName(run, len(tables)+i).Quoted(), pg.Ident("<its owner>"))...)
	}
	t.After = append(append(t.After, dropReadFunction(run), dropFunction(guardName(run))), t.dropWriteBlocks(run, f)...)
	if len(f.shadow) > 0 {
		in := standIns(run, f)
		t.Trial = slices.Concat(in.prepare, in.locks, in.guard, in.silence, in.old)
		for _, s := range untoldSuccessions(run.Plan) {
			t.Trial = append(t.Trial, s.proceed(s.plan.Shadow.Quoted())...)
		}
		t.Trial = append(t.Trial, "ROLLBACK")
	}
	t.Finish = []string{fenceFunction(run, passNobody), control.DescribeDisown(run), control.DescribePurge}
}

func (t *Told) describeRemote(run *control.Run, f *facts) {
	if len(f.shadow) > 0 {
		t.Trial = append([]string{"LOCK TABLE " + only(f.shadow) + " IN EXCLUSIVE MODE", opened(fenceName(run))}, remoteFence(run, f.shadow)...)
		t.Trial = append(t.Trial, "ROLLBACK")
	}
	if quiet := f.taken.silence(f.production); len(quiet) > 0 {
		t.OldSide = append(append(t.OldSide, "-- after the cutover, before anything is replayed there"), quiet...)
	}
	t.After = t.dropWriteBlocks(run, f)
	t.Finish = []string{closedFence(run, untoldPlace, passNobody), control.DescribeDisown(run), control.DescribePurge}
}

// functionsTold is what [makeFunction] sends, where default privileges give others
// something.
func functionsTold(text string, name pg.Name) []string {
	return []string{text, "REVOKE ALL ON FUNCTION " + name.Quoted() + "() FROM PUBLIC"}
}

func (t *Told) dropWriteBlocks(run *control.Run, f *facts) []string {
	var all []string
	for _, n := range f.shadow {
		all = append(all, dropTrigger(writeBlockTrigger, run.Plan.FinalName(n.name)))
	}
	return append(all, dropFunction(writeBlockName(run)))
}

// dropTold drops the old side, as in [dropTables]: groups of tables, then what is left.
func dropTold(ctx context.Context, db pg.Querier, plan *plans.Plan, f *facts) ([]string, error) {
	var all, schemas []string
	for group := range slices.Chunk(f.production, dropGroup) {
		old := slices.Clone(group)
		for i := range old {
			if !plan.Remote {
				old[i].name = plan.Old(old[i].name)
			}
		}
		lock, drop := dropStatements(old)
		all = append(all, lock, drop)
	}
	for _, s := range plan.Schemas {
		switch {
		case !plan.Remote:
			schemas = append(schemas, s.Old)
		case s.Swap == plans.Move || s.Production == "public":
			drops, err := emptying(ctx, db, s.Production)
			if err != nil {
				return nil, err
			}
			all = append(append(all, "-- of these what is left by then"), drops...)
		default:
			schemas = append(schemas, s.Production)
		}
	}
	if len(schemas) > 0 {
		all = append(all, dropSchemasStatement(schemas))
	}
	all = append(all, dropFunction(fenceName(&control.Run{ID: untoldRun, Name: plan.Run, Plan: plan})))
	return append([]string{"-- the rest only with --drop-old"}, all...), nil
}

// untoldSuccessions are of sequences that nobody has looked at.
func untoldSuccessions(plan *plans.Plan) []succession {
	var all []succession
	for _, s := range plan.Sequences {
		if !s.Production.IsZero() {
			c := counter{Last: untoldNumber, Called: true, Increment: 1, Min: 1, Max: math.MaxInt64, Start: 1, Cache: 1}
			all = append(all, succession{plan: s, old: c, target: counter{Increment: 1, Min: 1, Max: math.MaxInt64, Start: 1, Cache: 1}})
		}
	}
	return all
}
