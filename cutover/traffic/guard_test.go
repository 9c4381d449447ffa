package traffic

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/testcontainers"
)

var errFencedOff = errors.New("somebody else leads")

// deposedAfter lets a number of questions pass, then none.
func deposedAfter(n int) func(context.Context, Action) error {
	return func(context.Context, Action) error {
		if n--; n < 0 {
			return errFencedOff
		}
		return nil
	}
}

// However far a process came when another one took the lead: it does nothing
// more, and its successor finds what it can undo.
func TestWhoMayNotLeadAnyMoreStops(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	original := f.config()
	successor := open(t, f.file)
	for n := 0; ; n++ {
		fencedOff := open(t, f.file)
		fencedOff.Guard(deposedAfter(n))
		var err error
		for _, step := range []func(context.Context) error{fencedOff.Pause, leadTo(fencedOff, Shadow), fencedOff.Resume} {
			if err = step(t.Context()); err != nil {
				break
			}
		}
		side, _ := successor.Side(t.Context())
		t.Logf("after %d questions: %+v, %v", n, side, err)
		if err == nil {
			if n < 6 {
				t.Errorf("only %d questions were asked", n)
			}
			break
		}
		if !errors.Is(err, errFencedOff) || errors.Is(err, ErrUnknown) {
			t.Errorf("after %d questions: %v", n, err)
		}
		if n < 1 == side.Paused {
			t.Errorf("after %d questions: held %t", n, side.Paused)
		}
		if n > 0 {
			f.must(leadTo(successor, Production))
			f.must(successor.Resume)
		}
		f.traffic = successor
		f.wantSide(Side{Leads: Production, File: Production})
		if diff := cmp.Diff(original, f.config()); diff != "" {
			t.Errorf("after %d questions: %s", n, diff)
		}
	}
}

// A process that stood still right before it replaced the file, and was
// succeeded meanwhile, puts back what it found; what its successor wrote since
// stays.
func TestFileOfWhoWasSucceededIsPutBack(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	original := f.config()
	const later = "; by the successor\n"
	for name, rewrite := range map[string]string{"nobody wrote": "", "the successor wrote": later} {
		f.must(f.traffic.Pause)
		asked, fencedOff := 0, open(t, f.file)
		fencedOff.Guard(func(context.Context, Action) error {
			if asked++; asked < 3 { // before the copy is kept, before the file is replaced
				return nil
			}
			if rewrite != "" {
				if _, err := swapFile(f.bouncer.ConfigPath(), f.config(), rewrite+f.config()); err != nil {
					t.Error(err)
				}
			}
			return errFencedOff
		})
		if err := fencedOff.Switch(t.Context(), Shadow); !errors.Is(err, errFencedOff) || errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		now := f.config()
		if rewrite == "" && now != original || rewrite != "" && !strings.HasPrefix(now, later) {
			t.Errorf("%s: %s", name, cmp.Diff(original, now))
		}
		f.must(leadTo(f.traffic, Production))
		f.must(f.traffic.Resume)
		if misrouted, err := f.traffic.Misrouted(t.Context(), Shadow); misrouted || err != nil {
			t.Errorf("%s: misrouted %t, %v", name, misrouted, err)
		}
		if err := os.WriteFile(f.bouncer.ConfigPath(), []byte(original), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCommandIsNotStartedByWhoMayNotLead(t *testing.T) {
	t.Parallel()
	traffic, notes := script(t, "exit 1")
	traffic.Guard(deposedAfter(1))
	if err := traffic.Switch(t.Context(), Shadow); !errors.Is(err, errFencedOff) || errors.Is(err, ErrUnknown) {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff([]string{strings.TrimSpace(told)}, trimmed(notes())); diff != "" {
		t.Errorf("it was told to lead back, which is its successor's to say: %s", diff)
	}
}

func trimmed(lines []string) []string {
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines
}

// Of one of several that leads to the shadow all is known that matters.
func TestOneOfSeveralAstrayIsSeen(t *testing.T) {
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	first := f.traffic
	second := startBouncer(t, testcontainers.PgBouncerOptions{Databases: map[string]string{"shop": f.file.Production.DSN}})
	f.serve(second)
	misrouted := func(want bool) {
		t.Helper()
		if got, err := f.traffic.Misrouted(t.Context(), Shadow); got != want || err != nil {
			t.Errorf("misrouted: %t, %v", got, err)
		}
	}
	misrouted(false)
	f.must(first.Pause)
	f.must(leadTo(first, Shadow))
	misrouted(true)
	if err := second.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	misrouted(true) // who does not answer hides nobody
	f.must(leadTo(first, Production))
	f.must(first.Resume)
	if got, err := f.traffic.Misrouted(t.Context(), Shadow); got || err == nil {
		t.Errorf("misrouted with one that is away: %t, %v", got, err)
	}
}

// What is decided is done wherever it can be: one PgBouncer's death leads no
// other's clients to the wrong side, and holds none.
func TestSettleGoesAsFarAsItCan(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	f := start(t, testcontainers.PgBouncerOptions{})
	first := f.traffic
	second := startBouncer(t, testcontainers.PgBouncerOptions{Databases: map[string]string{"shop": f.file.Production.DSN}})
	f.serve(second)
	f.must(f.traffic.Pause)
	f.must(leadTo(f.traffic, Shadow))
	if err := second.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle := func(to Place) error { return f.traffic.Settle(t.Context(), to, time.Second) }
	if err := settle(Production); !errors.Is(err, ErrUnknown) {
		t.Errorf("%v", err)
	}
	both := f.traffic
	f.traffic = first
	f.wantSide(Side{Leads: Production, File: Production})
	f.traffic = both
	if err := second.Restart(t.Context()); err != nil { // leads to the shadow, and holds nobody
		t.Fatal(err)
	}
	for _, to := range []Place{Production, Production, Shadow, Production} {
		if err := settle(to); err != nil {
			t.Error(err)
		}
		f.wantSide(Side{Leads: to, File: to})
	}
}
