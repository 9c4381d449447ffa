package cutover

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

//go:embed sql/sequences.sql
var sequencesSQL string

//go:embed sql/tangled.sql
var tangledSQL string

// sequence is one of production's that goes on in the shadow, moved or by its
// value, or whose numbers one there goes on behind.
type sequence struct {
	oid   uint32
	name  pg.Name
	owner string
}

// continuing lists production's sequences that go on in the shadow, and the feeders: see
// [attempt.lookForDraws].
func continuing(ctx context.Context, db pg.Querier, plan *plans.Plan, feeders []uint32) ([]sequence, error) {
	goesOn := map[pg.Name]bool{}
	for _, s := range plan.Shared {
		goesOn[s.Name] = s.Kind == "SEQUENCE" || goesOn[s.Name]
	}
	for _, s := range plan.Sequences {
		goesOn[s.Production] = true
	}
	production, _ := plan.SchemaNames()
	rows, err := db.Query(ctx, sequencesSQL, production)
	if err != nil {
		return nil, fmt.Errorf("list the sequences: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (sequence, error) {
		var s sequence
		err := row.Scan(&s.oid, &s.name.Schema, &s.name.Name, &s.owner)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the sequences: %w", err)
	}
	return slices.DeleteFunc(all, func(s sequence) bool { return !goesOn[s.name] && !slices.Contains(feeders, s.oid) }), nil
}

// lock shuts everybody out of a sequence: LOCK TABLE refuses sequences, and a
// change of owner to the same one changes nothing but takes ACCESS EXCLUSIVE.
func (s sequence) lock() string {
	return "ALTER SEQUENCE " + s.name.Quoted() + " OWNER TO " + pg.Ident(s.owner)
}

const fenceSavepoint = "pgumbra_fence"

// fence stops writes, and draws from sequences that go on in the shadow: all
// tables in one LOCK TABLE statement, in one order, and one budget for all of
// it. EXCLUSIVE also waits for SELECT FOR UPDATE and lets plain readers pass, the
// drain's among them.
//
// Tables come first, as in an INSERT whose default draws a number. A client that
// draws and then inserts holds its sequence while it waits for the table, and a
// transaction keeps that lock to its end: where one is met everything is let go,
// so that it ends, and from then on its sequence is locked before the tables.
//
// A sequence of production's that the drain draws from, for a column that only the shadow
// has, stays open: the drain would wait for us to the end. The swap, which moves it, locks it then; a
// client who drew from it and waits for a table makes us the deadlock's victim, and the attempt is repeated.
//
// Where clients do both with the same table and sequence, no order suits all of
// them, and the locks are had in a moment in which only one kind is on its way.
// So rounds follow one another, in turns of order, and production works in between
// for about as long as a round took: each is a first lock request, counted by
// itself, and all of them together take half of max_stall from clients at most.
func (a *attempt) fence(ctx context.Context) error {
	patience := a.c.settings().MaxStall / 2
	limit := a.startRound(ctx)
	for {
		met, err := a.tryLocks(ctx, limit)
		if err == nil {
			a.out.LockWait = time.Since(a.began)
			return pg.ExecScript(ctx, a.locker, fmt.Sprintf("SET LOCAL statement_timeout = %d", a.left()))
		}
		tangled := met != nil || pg.State(err) == pgerrcode.DeadlockDetected
		if !tangled || a.lost+time.Since(a.began) >= patience || !a.held.IsZero() && !time.Now().Before(limit) {
			a.out.LockWait = time.Since(a.began)
			return err
		}
		if err := pg.ExecScript(ctx, a.locker, "ROLLBACK TO SAVEPOINT "+fenceSavepoint); err != nil {
			return err
		}
		if met != nil {
			a.c.drawnFirst = met.reorder(a.c.drawnFirst, a.facts.sequences)
		}
		if limit, err = a.nextRound(ctx, limit); err != nil {
			return err
		}
	}
}

// startRound begins to count max_stall, and returns until when locks are waited for.
func (a *attempt) startRound(ctx context.Context) time.Time {
	s := a.c.settings()
	a.began = time.Now()
	a.deadline = a.began.Add(s.MaxStall)
	if !a.held.IsZero() { // clients wait since then
		a.deadline = a.held.Add(s.MaxStall)
	}
	a.setAlarm(ctx, time.Until(a.deadline)+s.Grace())
	limit := a.began.Add(min(s.LockTimeout, s.MaxStall))
	if limit.After(a.deadline) {
		limit = a.deadline
	}
	return limit
}

// nextRound lets production work, and starts another round. Clients of a pool are
// held all the time, so that for them nothing begins anew.
func (a *attempt) nextRound(ctx context.Context, limit time.Time) (time.Time, error) {
	took := time.Since(a.began)
	if !a.held.IsZero() {
		return limit, pause(ctx, time.Millisecond+rand.N(4*time.Millisecond))
	}
	a.lost, a.began = a.lost+took, time.Time{}
	if err := pause(ctx, took/2+rand.N(took+time.Millisecond)); err != nil {
		return limit, err
	}
	return a.startRound(ctx), nil
}

// tryLocks asks for all locks in one statement, which the other session cancels
// when it cannot succeed.
func (a *attempt) tryLocks(ctx context.Context, limit time.Time) (*tangle, error) {
	script := fmt.Sprintf("SAVEPOINT %s;\nSET LOCAL statement_timeout = %d;\n%s",
		fenceSavepoint, max(time.Until(limit).Milliseconds(), 1), a.fenceStatement())
	group, groupCtx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	var met *tangle
	group.Go(func() error {
		defer close(done)
		return pg.ExecScript(groupCtx, a.locker, script)
	})
	group.Go(func() (err error) {
		met, err = a.watchForTangle(groupCtx, done)
		return err
	})
	return met, group.Wait()
}

func (a *attempt) tellFence() []stage { return []stage{{"fence", []string{a.fenceStatement()}}} }

// fenceStatement is one statement, so that one timeout counts for all of it.
func (a *attempt) fenceStatement() string {
	first, rest := []string{"NULL"}, []string{}
	for _, oid := range a.c.drawnFirst {
		for _, s := range a.facts.sequences {
			if s.oid == oid && !slices.Contains(a.facts.replayed, oid) {
				first = append(first, s.lock())
			}
		}
	}
	for _, s := range a.facts.sequences {
		if !slices.Contains(a.c.drawnFirst, s.oid) && !slices.Contains(a.facts.replayed, s.oid) {
			rest = append(rest, s.lock())
		}
	}
	body := append(first, a.lockStatement("EXCLUSIVE")...)
	return "DO " + pg.Literal("BEGIN\n"+strings.Join(append(body, rest...), ";\n")+";\nEND")
}

// tangle: we wait for somebody who waits for us.
type tangle struct {
	mine   uint32   // what we wait for
	theirs []uint32 // what they wait for
}

// reorder is the list of the sequences to lock before the tables, after a
// tangle: who has drawn from a sequence that we wait for must be let end before
// we hold what he needs next; one that somebody waits for who holds a table
// comes after the tables.
func (t *tangle) reorder(first []uint32, all []sequence) []uint32 {
	mine := func(oid uint32) bool { return oid == t.mine }
	if slices.ContainsFunc(all, func(s sequence) bool { return mine(s.oid) }) {
		return append([]uint32{t.mine}, slices.DeleteFunc(slices.Clone(first), mine)...)
	}
	return slices.DeleteFunc(slices.Clone(first), func(oid uint32) bool { return slices.Contains(t.theirs, oid) })
}

// watchForTangle looks until done is closed whether locker waits for
// somebody who waits for it, and then cancels its statement. It also notes who
// is in the way.
func (a *attempt) watchForTangle(ctx context.Context, done <-chan struct{}) (*tangle, error) {
	for look := 1; ; look++ {
		select {
		case <-done:
			return nil, nil
		case <-ctx.Done():
			return nil, nil
		case <-time.After(8 * time.Millisecond):
		}
		met, err := a.tangled(ctx)
		if err == nil && met != nil {
			_, err = a.observer.Exec(ctx, "SELECT pg_catalog.pg_cancel_backend($1)", a.pid)
		}
		if err == nil && look%2 == 0 || met != nil {
			err = errors.Join(err, a.noteWaitedOn(ctx))
		}
		if met != nil || err != nil {
			return met, ignoreCancel(err)
		}
	}
}

func (a *attempt) tangled(ctx context.Context) (*tangle, error) {
	t := new(tangle)
	err := a.observer.QueryRow(ctx, tangledSQL, a.pid).Scan(&t.mine, &t.theirs)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look whether the fence can stand: %w", err)
	}
	return t, nil
}

// noteWaitedOn keeps the last sample of who stands in locker's way.
func (p *pair) noteWaitedOn(ctx context.Context) error {
	found, err := p.inLockersWay(ctx)
	if err != nil {
		return fmt.Errorf("look who blocks: %w", err)
	}
	if len(found) > 0 {
		p.waitedOn = found
	}
	return nil
}

func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
