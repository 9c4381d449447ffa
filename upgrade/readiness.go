package upgrade

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/capture"
	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/replay"
	"github.com/pgumbra/pgumbra/shadow"
)

// ErrNotNow says that a series of attempts at the cutover came to nothing, and
// nothing changed. The caller may try again.
var ErrNotNow = errors.New("the cutover was not possible now; nothing changed")

// Different says that verification found rows that differ. The run stays where
// it is; a cutover is refused.
type Different struct {
	Table   *plans.Table
	Verdict replay.Verdict
}

func (d *Different) Error() string {
	return fmt.Sprintf("verification: %s differs from what production makes of it, %d keys shown", d.Table.Final, len(d.Verdict.Differences))
}

// act does what following has time for between two rounds: proving tables
// equal, and the cutover if it is wanted. True once the swap is done.
func (w *worker) act(ctx context.Context) (bool, error) {
	wanted, err := w.cutoverWanted(ctx)
	if err != nil {
		return false, err
	}
	stale, err := w.nextToVerify(ctx, wanted)
	if err != nil {
		return false, err
	}
	if stale != nil {
		return false, w.prove(ctx, stale)
	}
	if w.until == control.Following {
		return false, errStop
	}
	if !wanted {
		return false, nil
	}
	return w.cutOver(ctx)
}

func (w *worker) cutoverWanted(ctx context.Context) (bool, error) {
	if w.cutover {
		return true, nil
	}
	var requested bool
	err := w.pool.QueryRow(ctx, `SELECT cutover_requested IS NOT NULL FROM pgumbra.leader WHERE run_id = $1`,
		w.run.ID).Scan(&requested)
	return requested, err
}

// nextToVerify is a table that was never proved equal or, when a cutover is
// wanted, not within cutover.verify_within; nil if there is none. Tables that
// are not in step are left to bringInStep.
func (w *worker) nextToVerify(ctx context.Context, wanted bool) (*plans.Table, error) {
	within := w.run.Plan.Settings.Cutover.VerifyWithin
	rows, err := control.Tables(ctx, w.pool, w.run)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.State != control.InStep || !w.run.Plan.Tables[r.N].Verifiable() {
			continue
		}
		if r.VerifiedAt == nil || wanted && within > 0 && r.VerifiedAgo > within*3/4 {
			return &w.run.Plan.Tables[r.N], nil
		}
	}
	return nil, nil
}

func (w *worker) prove(ctx context.Context, t *plans.Table) error {
	w.log.Info("verifying", "table", t.Final.String())
	verdict, err := w.replayer.Verify(ctx, t)
	if errors.Is(err, replay.ErrRecopy) {
		return w.bringInStep(ctx)
	}
	if err != nil {
		return err
	}
	if !verdict.Equal {
		return w.unlessRecaptured(ctx, &Different{Table: t, Verdict: verdict})
	}
	return nil
}

// swapping is what following remembers between two attempts at the cutover.
type swapping struct {
	cutover *cutover.Cutover
	pause   *backoff.ExponentialBackOff
	next    time.Time
	tried   int
}

// cutOver makes one attempt, if the pause after the last one is over; following
// goes on between attempts. After cutover.attempts a cutover by command gives
// up, while `run --cutover` begins another series.
func (w *worker) cutOver(ctx context.Context) (bool, error) {
	if w.swapping.cutover == nil {
		w.swapping = w.newSwapping()
	}
	if time.Now().Before(w.swapping.next) {
		return false, nil
	}
	if err := w.settle(ctx); err != nil {
		return false, err
	}
	against, err := w.swapping.cutover.Check(ctx)
	if err != nil {
		return false, err
	}
	if len(against) > 0 {
		return false, w.notNow(ctx, messages(against))
	}
	if err := w.settle(ctx); err != nil {
		return false, err
	}
	if err := w.enter(ctx, control.Cutover); err != nil {
		return false, err
	}
	outcome, err := w.swapping.cutover.Attempt(ctx)
	if err != nil {
		return false, err
	}
	if outcome.Swapped {
		w.run.Entered(control.Watching)
		return true, nil
	}
	if err := w.enter(ctx, control.Following); err != nil {
		return false, err
	}
	return false, w.notNow(ctx, messages(outcome.Blockers))
}

// settle replays rounds in quick succession, so that little is left for the
// drain: each is shorter than the one before, as less has come meanwhile.
func (w *worker) settle(ctx context.Context) error {
	const rounds, little = 5, 200
	for range rounds {
		changes, err := w.round(ctx)
		if err != nil || changes <= little {
			return err
		}
	}
	return nil
}

func messages(blockers []cutover.Blocker) string {
	var all []string
	for _, b := range blockers {
		all = append(all, b.Message+" ("+b.Fix+")")
	}
	return strings.Join(all, "; ")
}

// notNow records why an attempt came to nothing and plans the next one, with a
// growing, jittered pause so that production works off what waited.
func (w *worker) notNow(ctx context.Context, reason string) error {
	s := &w.swapping
	s.tried++
	s.next = time.Now().Add(s.pause.NextBackOff())
	w.log.Warn("cutover not possible now", "attempt", s.tried, "reason", reason)
	if err := control.Event(ctx, w.pool, w.run, "cutover not possible now", map[string]any{"reason": reason}); err != nil {
		return err
	}
	if s.tried < max(w.run.Plan.Settings.Cutover.Attempts, 1) {
		return nil
	}
	w.swapping = w.newSwapping()
	if _, err := w.pool.Exec(ctx, `UPDATE pgumbra.leader SET cutover_requested = NULL WHERE run_id = $1`, w.run.ID); err != nil {
		return err
	}
	if w.once {
		return fmt.Errorf("%w: %s", ErrNotNow, reason)
	}
	return nil
}

func (w *worker) newSwapping() swapping {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = max(w.run.Plan.Settings.Cutover.MaxStall/4, 50*time.Millisecond)
	pause.MaxInterval = 15 * time.Second
	return swapping{cutover: w.newCutover(), pause: pause}
}

// newCutover gives the cutover what it needs of the packages around it.
func (w *worker) newCutover() *cutover.Cutover {
	return &cutover.Cutover{Pool: w.pool, DSN: w.dsn, Upgrade: w.run, Log: w.log, Parts: cutover.Parts{
		Drain:           w.replayer.Drain,
		Pending:         w.pending,
		Changed:         w.changed,
		SwapEntries:     func() []plans.Entry { return shadow.SwapEntries(w.run.Plan) },
		NewForeignKeys:  w.newForeignKeys,
		PrepareReverse:  func(ctx context.Context) error { return capture.PrepareReverse(ctx, w.pool, w.run) },
		ReverseTriggers: func() string { return capture.ReverseTriggers(w.run) },
		StopCapture:     func(ctx context.Context) error { return capture.RemoveForward(ctx, w.pool, w.run) },
		PostSwap:        func(ctx context.Context) error { return shadow.PostSwap(ctx, w.pool, w.run) },
		RemoveCapture:   func(ctx context.Context) error { return capture.Remove(ctx, w.pool, w.run) },
	}}
}

func (w *worker) pending(ctx context.Context) (int64, error) {
	all, err := w.replayer.PendingAll(ctx, w.pool)
	var sum int64
	for _, n := range all {
		sum += n
	}
	return sum, err
}

// changed names what is no longer as capture saw it. Looking at each table in
// full takes milliseconds a table, so a clean look counts until the catalogs'
// signature is another one: behind the fence that is one query.
func (w *worker) changed(ctx context.Context) ([]string, error) {
	signature, err := capture.Signature(ctx, w.pool, w.run)
	if err != nil || signature == w.intact {
		return nil, err
	}
	var all []string
	for i := range w.run.Plan.Sources {
		src := &w.run.Plan.Sources[i]
		changes, err := capture.Check(ctx, w.pool, w.run, src)
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			if c.Kind != capture.Filenode {
				all = append(all, fmt.Sprintf("%s: %s", src.Name, c.Detail))
			}
		}
	}
	if len(all) == 0 {
		w.intact = signature
	}
	return all, nil
}

// newForeignKeys checks the foreign keys that the migrations bring while the
// tables of each stand at one snapshot: between two batches a row may refer to
// one that is still to be replayed.
func (w *worker) newForeignKeys(ctx context.Context) ([]string, error) {
	if len(w.run.Plan.NewFKs) == 0 {
		return nil, nil
	}
	ends := map[pg.Name]bool{}
	for _, k := range w.run.Plan.NewFKs {
		ends[k.Table], ends[k.References] = true, true
	}
	var tables []*plans.Table
	for i := range w.run.Plan.Tables {
		if t := &w.run.Plan.Tables[i]; ends[t.Shadow] {
			tables = append(tables, t)
		}
	}
	var found []string
	err := w.replayer.Aligned(ctx, tables, func(tx pgx.Tx) error {
		violations, err := shadow.CheckNewForeignKeys(ctx, tx, w.run)
		found = nil
		for _, v := range violations {
			found = append(found, v.String())
		}
		return err
	})
	return found, err
}

// afterSwap does what the swap left to do; without a watch it ends the run. It
// may be repeated.
func (w *worker) afterSwap(ctx context.Context) error {
	if err := w.newCutover().After(ctx); err != nil {
		return err
	}
	if w.run.Phase != control.Watching {
		return nil
	}
	return capture.RecordReverse(ctx, w.pool, w.run)
}

// watch finishes what a swap left to do. The reverse journals guard their own
// size from then on, so no process has to stay.
func (w *worker) watch(ctx context.Context) error {
	if err := w.afterSwap(ctx); err != nil {
		return err
	}
	return errStop
}

// Cutover swaps: through the leader if one runs, else by itself, catching up
// first. Returns [ErrNotNow] if it was not possible.
func Cutover(ctx context.Context, file *plans.File, o Options) error {
	o.Cutover, o.Once = true, true
	for {
		served, err := requestCutover(ctx, file)
		if err != nil || served {
			return err
		}
		err = Run(ctx, file, o)
		var led *ErrLed
		if !errors.As(err, &led) {
			return err
		}
	}
}

// requestCutover asks a live leader for a cutover and waits for its outcome.
// False: there is no live leader (any more).
func requestCutover(ctx context.Context, file *plans.File) (bool, error) {
	conn, err := pg.Connect(ctx, file.Production.DSN, pg.Options{Component: "cutover"})
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	run, err := control.Find(ctx, conn, file.Name)
	if err != nil {
		return false, err
	}
	if run.Phase.Swapped() {
		return true, nil
	}
	if run.Phase.Over() {
		return false, fmt.Errorf("%w: %s", ErrWrongPhase, run.Phase)
	}
	served, err := waitForLeader(ctx, conn, run)
	if ctx.Err() != nil {
		takeBack(ctx, file, run)
	}
	return served, err
}

// takeBack withdraws a request for a cutover that nobody waits for any more. On
// a session of its own: a cancelled statement has closed the other one.
func takeBack(ctx context.Context, file *plans.File, run *control.Run) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	conn, err := pg.Connect(ctx, file.Production.DSN, pg.Options{Component: "cutover"})
	if err != nil {
		return
	}
	_, _ = conn.Exec(ctx, `UPDATE pgumbra.leader SET cutover_requested = NULL WHERE run_id = $1`, run.ID)
	_ = conn.Close(ctx)
}

// waitForLeader asks once of each leader: one that took over has forgotten what
// its predecessor was asked.
func waitForLeader(ctx context.Context, conn pg.Querier, run *control.Run) (bool, error) {
	var asked int64 // the epoch that was asked
	for {
		var phase control.Phase
		var alive, pending bool
		var epoch int64
		err := conn.QueryRow(ctx, `
			SELECT r.phase, r.epoch, l.cutover_requested IS NOT NULL,
			       coalesce(l.heartbeat > clock_timestamp() - make_interval(secs => $2), false)
			FROM pgumbra.run r JOIN pgumbra.leader l ON l.run_id = r.id WHERE r.id = $1`,
			run.ID, 4*heartbeat.Seconds()).Scan(&phase, &epoch, &pending, &alive)
		switch {
		case err != nil:
			return false, err
		case phase.Swapped():
			return true, nil
		case phase.Over():
			return false, fmt.Errorf("%w: %s", ErrWrongPhase, phase)
		case !alive:
			return false, nil
		case asked == epoch && !pending:
			return false, fmt.Errorf("%w: %s", ErrNotNow, lastReason(ctx, conn, run))
		case asked != epoch:
			_, err := conn.Exec(ctx, `UPDATE pgumbra.leader SET cutover_requested = clock_timestamp() WHERE run_id = $1`, run.ID)
			if err != nil {
				return false, err
			}
			asked = epoch
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func lastReason(ctx context.Context, conn pg.Querier, run *control.Run) string {
	var reason string
	err := conn.QueryRow(ctx, `SELECT detail->>'reason' FROM pgumbra.event
		WHERE run_id = $1 AND message = 'cutover not possible now' ORDER BY id DESC LIMIT 1`, run.ID).Scan(&reason)
	if err != nil {
		return "the leader's log says why"
	}
	return reason
}
