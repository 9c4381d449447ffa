package cutover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/cutover/traffic"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/testcontainers"
)

// way is a run right before its cutover, or its rollback.
type way struct {
	name  string
	start func(*testing.T) *fixture
}

// ways are in one database, and to another one with clients behind a PgBouncer; there, and
// back with the ends exchanged.
var ways = []way{
	{"one database", func(t *testing.T) *fixture { return shop(t, plans.Rename, "") }},
	{"another one", func(t *testing.T) *fixture { return remoteShop(t).behindBouncer() }},
	{"one database, back", func(t *testing.T) *fixture { f := shop(t, plans.Rename, ""); f.swaps(); return f.back() }},
	{"another one, back", func(t *testing.T) *fixture { return remoteShop(t).behindBouncer().backFrom() }},
}

// eachWay tests two of the four each time. Where the shadow is in production's database
// f.there is f; f.before and f.after are where clients are.
func eachWay(t *testing.T, test func(*testing.T, *fixture)) {
	t.Helper()
	for _, w := range testcontainers.Some(t, ways, 2) {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			f := w.start(t)
			f.settle(5*time.Second, time.Second)
			test(t, f)
		})
	}
}

// momentsOf some steps are before and after each.
func momentsOf(steps ...string) []string {
	var all []string
	for _, s := range steps {
		all = append(all, "before "+s, "after "+s)
	}
	return all
}

// moments are those that differ in what there is to undo, in order. The last is after the
// decision.
func moments() []string {
	return momentsOf("begin", "hold clients", "fence", "compare the tables behind the fence", "drain", "read sequences",
		"swap", "refuse writes to production", "redirect clients", "commit")
}

// Steps may come and go, but those that data depend on stay in this order.
func TestTheProtocolIsInOrder(t *testing.T) {
	t.Parallel()
	var steps []string
	for _, s := range protocol {
		if slices.Contains(steps, s.name) {
			t.Errorf("two steps are called %q", s.name)
		}
		steps = append(steps, s.name)
		if s.do == nil || s.undo == nil || s.tell == nil {
			t.Errorf("%s: something is left out", s.name)
		}
		if counted := s.of != uncounted; counted != (s.part == stalling || s.name == "fence" || s.name == "commit") {
			t.Errorf("%s is counted to %q", s.name, s.of)
		}
	}
	before := -1
	for _, name := range []string{"prepare", "begin", "hold clients", "fence", "drain", "swap", "record the swap", "look again",
		"refuse writes to production", "redirect clients", "look at the last", "note the decision", "commit", "release"} {
		at := slices.Index(steps, name)
		if at <= before {
			t.Errorf("%s comes at %d, after one at %d", name, at, before)
		}
		before = at
	}
}

func TestFailureAtEachStepIsUndone(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	eachWay(t, func(t *testing.T, f *fixture) {
		all, fences := moments(), f.fences()
		for _, at := range all[:len(all)-1] {
			f.fails(at, func() error { return errInjected })
			out, err := f.Attempt(context.Background())
			if !errors.Is(err, errInjected) || out.Swapped {
				t.Errorf("%s: %+v, %v", at, out, err)
			}
			f.livesIn(f.before())
			if t.Failed() {
				t.Fatal(at)
			}
		}
		if f.fences() != fences {
			t.Error("the fence is left")
		}
		f.hook = nil
		f.swaps()
		f.livesIn(f.after())
	})
}

func TestDeathAtEachStepIsResolved(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	eachWay(t, func(t *testing.T, f *fixture) {
		all, unnoted := moments(), []string{"before begin", "after begin", "before hold clients"}
		tried := 8
		if f.there == f { // whoever ends the session, it is one ROLLBACK
			tried = 5
		}
		for _, at := range testcontainers.Some(t, all[:len(all)-1], tried) {
			f.dies(at)
			want := WentBack
			if f.there == f || slices.Contains(unnoted, at) {
				want = Settled
			}
			f.resolves(want)
			f.livesIn(f.before())
			if t.Failed() {
				t.Fatal(at)
			}
		}
		f.dies(all[len(all)-1])
		want := Settled
		if f.there != f {
			f.fenced().exec(`DROP TRIGGER "` + remoteFenceTrigger + `" ON shop.entry`) // as after a failover that lost it, but for an earlier attempt's
			f.fenced().exec(opened(fenceName(f.Upgrade)))
			want = WentForward
		}
		f.resolves(want)
		f.livesIn(f.after())
		if told := f.Upgrade.Plan.Swapping(); !get[bool](f, "SELECT ("+told+"->>'stall_ms')::float8 > 0 FROM pgumbra.run") {
			t.Error(get[string](f, "SELECT "+told+"::text FROM pgumbra.run"))
		}
	})
}

// Whether the COMMIT is lost or the answer to it, wherever it is sent, the server is asked
// what became of it, and clients are served by just one side.
func TestConnectionLostAtACommit(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	for _, w := range testcontainers.Some(t, ways, 2) {
		for name, c := range map[string]struct {
			at   string
			lose bool // COMMIT itself, not its answer
			side func(*fixture) traffic.Place
		}{
			"answer":            {"before commit", false, (*fixture).after},
			"commit":            {"before commit", true, (*fixture).before},
			"production answer": {"before refuse writes to production", false, (*fixture).before},
			"production commit": {"before refuse writes to production", true, (*fixture).before},
		} {
			if c.at != "before commit" && strings.HasPrefix(w.name, "one database") {
				continue // there is one COMMIT
			}
			t.Run(w.name+", "+name, func(t *testing.T) {
				t.Parallel()
				f := w.start(t)
				f.settle(10*time.Second, time.Second) // the server's own timeout comes later
				var p *proxy
				if c.at == "before commit" && f.there != f {
					p, f.ShadowDSN = f.proxied(f.ShadowDSN)
				} else {
					p, f.Cutover.DSN = f.proxied(f.Cutover.DSN)
				}
				p.lose = c.lose
				f.fails(c.at, func() error { p.armed.Store(true); return nil })
				if c.side(f) == f.after() {
					f.swaps()
				} else {
					f.refuses("connection-lost", "")
				}
				f.livesIn(c.side(f))
			})
		}
	}
}

func TestBackendEndedBeforeCommitIsRolledBack(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	eachWay(t, func(_ *testing.T, f *fixture) {
		f.beforeCommit = func(pid uint32) { get[bool](f.there, "SELECT pg_terminate_backend($1, 5000)", pid) }
		f.refuses("connection-lost", "rolled it back")
		f.livesIn(f.before())
		f.beforeCommit = nil
		f.swaps()
		f.livesIn(f.after())
	})
}

func TestDeposedLeaderLeavesAllToItsSuccessor(t *testing.T) {
	testcontainers.InTurn(t, 6)
	t.Parallel()
	eachWay(t, func(t *testing.T, f *fixture) {
		at, want := "before redirect clients", WentBack
		if f.there == f {
			at, want = "after drain", Settled
		}
		f.fails(at, func() error { f.fenced().exec("UPDATE pgumbra.run SET epoch = epoch + 1"); return nil })
		if _, err := f.Attempt(context.Background()); !errors.Is(err, control.ErrFencedOff) {
			t.Fatal(err)
		}
		f.Upgrade.Epoch++
		for _, side := range f.sides() {
			if side != f.fenced() {
				side.exec("UPDATE pgumbra.run SET epoch = epoch + 1")
			}
		}
		f.resolves(want)
		f.livesIn(f.before())
	})
}
