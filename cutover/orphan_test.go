package cutover

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// standsStill is what happens while a leader's process is stopped: the servers
// end its sessions that hold locks, and another one takes over.
func (f *fixture) standsStill() {
	f.t.Helper()
	for _, side := range f.sides() {
		get[int](side, `SELECT count(pg_terminate_backend(pid, 5000))::int FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'pgumbra/cutover'`)
	}
	f.succeeded()
}

// orphan makes an attempt, during which something happens at a moment.
func (f *fixture) orphan(at string, meanwhile func()) error {
	f.t.Helper()
	met := false
	f.fails(at, func() error { met = true; meanwhile(); return nil })
	_, err := f.Cutover.Attempt(context.Background())
	if !met {
		f.t.Fatalf("no moment %q", at)
	}
	return err
}

func TestLeaderThatWakesUpLeavesAllToItsSuccessor(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	all := moments()
	for _, at := range all[:len(all)-1] {
		if at == "before begin" || at == "after begin" || at == "before hold clients" {
			continue // nothing is noted, and its sessions are gone
		}
		err := f.orphan(at, func() {
			f.standsStill()
			f.resolves(WentBack)
			f.livesIn(traffic.Production)
		})
		if !errors.Is(err, control.ErrFencedOff) {
			t.Errorf("%s: %v", at, err)
		}
		f.livesIn(traffic.Production)
		if t.Failed() {
			t.Fatal(at)
		}
	}
	err := f.orphan(all[len(all)-1], func() {
		f.standsStill()
		f.resolves(WentForward)
	})
	if !errors.Is(err, control.ErrFencedOff) {
		t.Error(err)
	}
	f.livesIn(traffic.Shadow)
}

// stopping stops before a step is done to clients.
type stopping struct {
	Traffic
	at   string
	stop func()
}

func (s *stopping) step(name string) {
	if s.at == name {
		s.at = ""
		s.stop()
	}
}

func (s *stopping) Pause(ctx context.Context) error { s.step("pause"); return s.Traffic.Pause(ctx) }
func (s *stopping) Switch(ctx context.Context, to traffic.Place) error {
	s.step("switch")
	return s.Traffic.Switch(ctx, to)
}
func (s *stopping) Settle(ctx context.Context, to traffic.Place, patience time.Duration) error {
	defer s.step("settled")
	s.step("settle")
	return s.Traffic.Settle(ctx, to, patience)
}

// The successor has swapped when the orphan wakes up, which holds nobody, leads
// nobody anywhere, and does not take the fence away: here is where commits would
// be lost.
func TestLeaderThatWakesUpAfterItsSuccessorsSwapUndoesNothing(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for name, failsAt := range map[string]string{
		"pause": "", "switch": "", "settle": "before commit", "settled": "before commit",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := remoteShop(t).behindBouncer()
			led := ""
			f.Traffic = &stopping{Traffic: f.Traffic, at: name, stop: func() {
				f.standsStill()
				f.resolves(WentBack)
				f.swaps()
				f.livesIn(traffic.Shadow)
				led = f.entry()
			}}
			f.fails(failsAt, func() error { return errInjected })
			_, err := f.Cutover.Attempt(context.Background())
			if !errors.Is(err, control.ErrFencedOff) {
				t.Error(err)
			}
			f.livesIn(traffic.Shadow)
			if now := f.entry(); led == "" || now != led {
				t.Errorf("PgBouncer's file: %q, was %q", now, led)
			}
		})
	}
}

func (f *fixture) entry() string {
	f.t.Helper()
	text, err := os.ReadFile(f.bouncer.ConfigPath())
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// A PAUSE that comes after its successor let all clients go is taken back by
// whoever sent it.
func TestClientsHeldTooLateAreLetGo(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	unguarded := f.tool() // as if its look at who leads came right before it stood still
	f.Traffic = &stopping{Traffic: &late{f.Traffic, unguarded}, at: "pause", stop: func() {
		f.standsStill()
		f.resolves(WentBack)
	}}
	_, err := f.Cutover.Attempt(context.Background())
	if !errors.Is(err, control.ErrFencedOff) {
		t.Error(err)
	}
	f.livesIn(traffic.Production)
}

type late struct {
	Traffic
	pauses Traffic
}

func (l *late) Pause(ctx context.Context) error { return l.pauses.Pause(ctx) }

// Whatever led clients to the shadow before the swap: they are refused there, and
// the leader leads them back.
func TestClientsAstrayAreLedBack(t *testing.T) {
	t.Parallel()
	f := remoteShop(t).behindBouncer()
	ctx, hand := context.Background(), f.tool()
	f.fails("before fence", func() error { return errInjected })
	if _, err := f.Attempt(ctx); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	f.hook = nil
	reroute := func() {
		t.Helper()
		if err := f.Reroute(ctx); err != nil {
			t.Fatal(err)
		}
		f.livesIn(traffic.Production)
	}
	reroute() // nothing to do
	original := f.entry()
	for _, step := range []func(context.Context) error{hand.Pause, func(ctx context.Context) error { return hand.Switch(ctx, traffic.Shadow) }, hand.Resume} {
		if err := step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.writes(f.through, "INSERT INTO {shadow}.entry (account, delta, client, n) VALUES (1, 0, 99, 0)"); pg.State(err) != pgerrcode.ReadOnlySQLTransaction {
		t.Error("the shadow takes writes:", err)
	}
	reroute()
	if f.entry() != original {
		t.Error(f.entry())
	}
	f.succeeded()
	reroute()
	if err := hand.Pause(ctx); err != nil { // somebody's own: nothing is misrouted, and it is his to end
		t.Fatal(err)
	}
	if err := f.Reroute(ctx); err != nil {
		t.Error(err)
	}
	if side, err := hand.Side(ctx); err != nil || !side.Paused {
		t.Errorf("a PAUSE of somebody else was taken back: %+v, %v", side, err)
	}
	if err := hand.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	f.swaps()
	f.livesIn(traffic.Shadow)
}
