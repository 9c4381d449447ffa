// Package control is the control schema, pgumbra, in production: the record of
// runs, their phases, positions and events. Everything a resumed run knows, it
// knows from here.
//
// Phases change by compare-and-set: a swap's in the swapping transaction, the others in
// transactions of their own, before and after work that may be repeated. A leader's epoch
// is checked under a row lock, in the transaction that writes, never by reading alone: an
// orphaned backend of a killed leader could otherwise commit after its successor began.
package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// Schema is the control schema's name.
const Schema = "pgumbra"

// Phase of a run.
type Phase string

// The phases, in order.
const (
	Building   Phase = "building"
	Capturing  Phase = "capturing"
	Copying    Phase = "copying"
	Following  Phase = "following"
	Cutover    Phase = "cutover"
	Watching   Phase = "watching"
	Finished   Phase = "finished"
	RolledBack Phase = "rolled_back"
	Aborted    Phase = "aborted"
)

// over are the phases of runs that have ended; the index run_one_live says so, too.
var over = []Phase{Finished, RolledBack, Aborted}

// Over reports whether a run in this phase has ended.
func (p Phase) Over() bool { return slices.Contains(over, p) }

// Swapped reports whether clients' names lead to the shadow in this phase.
func (p Phase) Swapped() bool { return p == Watching || p == Finished }

// Sentinels.
var (
	// ErrNoRun: no run of that name. The caller starts one, or says so.
	ErrNoRun = errors.New("no such run")
	// ErrFencedOff: another leader raised the epoch or moved the phase. The
	// caller stops at once and writes nothing more.
	ErrFencedOff = errors.New("another process leads this run now")
)

// Run is a run as its row says, with the plan it was started with.
type Run struct {
	ID    int64
	Name  string
	Phase Phase
	Epoch int64
	Plan  *plans.Plan
	// Group of several databases that the run is in; nil: in none.
	Group *Group
	// Flow is which way rows go now.
	Flow plans.Direction
	// Again: the run was rolled back, and its new side is followed again.
	Again bool
	// ToFollow, of a reversed run: its rollback is to be one from which the new side is
	// followed again.
	ToFollow bool
	// Accepted, of a reversed run: tables that its rollback may leave as they are, although
	// they differ from what the new ones make of them.
	Accepted map[int]bool
}

// Create records a new run in phase building, and this process's sessions as
// the run's: a row without either could neither go on nor be read.
func Create(ctx context.Context, db pg.Beginner, plan *plans.Plan) (*Run, error) {
	return CreateIn(ctx, db, plan, nil)
}

// CreateIn is [Create] of a member of a group; nil: of none.
func CreateIn(ctx context.Context, db pg.Beginner, plan *plans.Plan, group *Group) (*Run, error) {
	text, err := pg.JSON(plan)
	if err != nil {
		return nil, err
	}
	var in []byte
	if group != nil {
		if in, err = pg.JSON(group); err != nil {
			return nil, err
		}
	}
	run := &Run{Name: plan.Run, Phase: Building, Plan: plan, Group: group, Flow: plans.Forward}
	err = pg.ReadCommitted(ctx, db, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			WITH run AS (INSERT INTO pgumbra.run (name, plan, from_version, to_version, in_group) VALUES ($1, $2, $3, $4, $5) RETURNING id)
			INSERT INTO pgumbra.leader (run_id) SELECT id FROM run RETURNING run_id`,
			plan.Run, text, plan.FromVersion, plan.ToVersion, in).Scan(&run.ID)
		if err != nil {
			return fmt.Errorf("record run %s: %w", plan.Run, err)
		}
		return claim(ctx, tx, run)
	})
	if err != nil {
		return nil, err
	}
	return run, nil
}

// Owner is the role that made the control schema, as SQL spells it. Everybody may ask.
func Owner(ctx context.Context, db pg.Querier) (role string, err error) {
	err = db.QueryRow(ctx, `SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = $1`, Schema).Scan(&role)
	return role, err
}

// Find reads the newest run of a name, over or not. [ErrNoRun] if there is none,
// [ErrNewer] where this pgumbra cannot read it. An older control schema will do:
// who takes the run over migrates it. What a run of another production left in
// the database of its shadow, see [FindAdopted], is none of this database's.
func Find(ctx context.Context, db pg.Querier, name string) (*Run, error) {
	return find(ctx, db, name, "origin IS NULL")
}

// FindAdopted reads what [Adopt] recorded of the newest run of a name in the
// database of its shadow: all that is known of it where production is gone. Of a
// run that an older pgumbra led last the plan is empty. Errors as of [Find].
func FindAdopted(ctx context.Context, db pg.Querier, name string) (*Run, error) {
	return find(ctx, db, name, "origin IS NOT NULL")
}

// adoptedSince is the control schema's version that tells the two apart; before
// it no shadow was in another database.
const adoptedSince = 2

// flowSince is the one that knows which way rows go.
const flowSince = 11

// earlierSince is the one that keeps swaps before the last of their kind, attemptsSince
// what attempts took from clients.
const (
	earlierSince  = 26
	attemptsSince = 7
)

func find(ctx context.Context, db pg.Querier, name, which string) (*Run, error) {
	run, plan, err := findRow(ctx, db, name, which, "plan")
	if err != nil {
		return nil, err
	}
	if run.Plan, err = plans.Decode(plan); err != nil {
		return nil, fmt.Errorf("read the stored plan of run %s: %w", name, err)
	}
	if run.Again {
		run.Plan.FollowAgain()
	}
	return run, nil
}

// Look is [Find] without the plan, for who asks again and again.
func Look(ctx context.Context, db pg.Querier, name string) (*Run, error) {
	run, _, err := findRow(ctx, db, name, "origin IS NULL", "NULL::json")
	return run, err
}

// findRow: a record that is being dropped when it is looked for (finish --purge) is none.
func findRow(ctx context.Context, db pg.Querier, name, which, column string) (run *Run, plan []byte, err error) {
	run, plan, err = readRow(ctx, db, name, which, column)
	if pg.State(err) != "" { // of the table, the schema, or a lookup of what was there a moment ago
		if there, lookErr := Exists(ctx, db); lookErr == nil && !there {
			return nil, nil, fmt.Errorf("%w: %s", ErrNoRun, name)
		}
	}
	return run, plan, err
}

func readRow(ctx context.Context, db pg.Querier, name, which, column string) (run *Run, plan []byte, err error) {
	there, err := Exists(ctx, db)
	if err != nil {
		return nil, nil, err
	}
	if !there {
		return nil, nil, fmt.Errorf("%w: %s", ErrNoRun, name)
	}
	now, dirty, err := version(ctx, db)
	if err != nil {
		return nil, nil, err
	}
	if _, err := refuseNewer(now); err != nil {
		return nil, nil, err
	}
	if now < adoptedSince || now == adoptedSince && dirty {
		which = "true"
	}
	run = &Run{Name: name}
	flow, again := "flow", "rollback IS NOT NULL AND phase <> 'rolled_back'"
	if now < flowSince || now == flowSince && dirty {
		flow, again = "'forward'", "false"
	}
	group := "in_group"
	if now < groupSince || now == groupSince && dirty {
		group = "NULL::json"
	}
	var in []byte
	err = db.QueryRow(ctx, `SELECT id, phase, epoch, `+flow+`, `+again+`, `+group+`, `+column+` FROM pgumbra.run WHERE name = $1 AND `+which+`
		ORDER BY id DESC LIMIT 1`, name).Scan(&run.ID, &run.Phase, &run.Epoch, &run.Flow, &run.Again, &in, &plan)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil, fmt.Errorf("%w: %s", ErrNoRun, name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read run %s: %w", name, err)
	}
	run.Group, err = readGroup(in)
	return run, plan, err
}

const advance = `UPDATE pgumbra.run SET phase = $4, ended_at = CASE WHEN $5 THEN clock_timestamp() END WHERE id = $1 AND phase = $2 AND epoch = $3`

// Advancing tells what [Advance] sends, for a dry run.
func Advancing(from, to Phase) string {
	return strings.NewReplacer("$1", "<run>", "$2", pg.Literal(string(from)), "$3", "<epoch>", "$4", pg.Literal(string(to)),
		"CASE WHEN $5 THEN clock_timestamp() END", map[bool]string{true: "clock_timestamp()", false: "NULL"}[to.Over()]).Replace(advance)
}

// Advance moves the phase by compare-and-set on phase and epoch, in the
// caller's transaction. [ErrFencedOff] if somebody else moved it; run.Phase
// changes only in memory once the caller has committed, by [Run.Entered].
func Advance(ctx context.Context, tx pg.Querier, run *Run, to Phase) error {
	tag, err := tx.Exec(ctx, advance, run.ID, run.Phase, run.Epoch, to, to.Over())
	if err != nil {
		return fmt.Errorf("enter phase %s: %w", to, err)
	}
	if tag.RowsAffected() != 1 {
		return ErrFencedOff
	}
	entered := *run
	entered.Phase = to
	return Event(ctx, tx, &entered, PhaseEntered, nil)
}

// Entered notes that a committed transaction moved the phase.
func (r *Run) Entered(p Phase) { r.Phase = p }

// CheckEpoch locks the run's row against a change of leader until the end of
// the transaction and compares the epoch. For writes that lock no position row.
func CheckEpoch(ctx context.Context, tx pg.Querier, run *Run) error {
	var epoch int64
	err := tx.QueryRow(ctx, `SELECT epoch FROM pgumbra.run WHERE id = $1 FOR SHARE`, run.ID).Scan(&epoch)
	if err != nil {
		return fmt.Errorf("check the epoch: %w", err)
	}
	if epoch != run.Epoch {
		return ErrFencedOff
	}
	return nil
}
