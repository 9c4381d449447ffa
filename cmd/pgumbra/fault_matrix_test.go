package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestFaultMatrix goes through a whole run a cell: at one moment of its life one
// fault happens to it, in one database and to another server. Clients write to what
// is production all the while and try to write to the other side as well; every
// acknowledged write is there at the end, once, and never did both sides take one.
//
// A few cells by a seed; make test-faults goes through all of them
// and writes what became of each into docs/fault-matrix.md. By -run
// 'TestFaultMatrix/remote/killed' it may be done in pieces.
func TestFaultMatrix(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	table := newOutcomes(t)
	random := rand.New(rand.NewPCG(testcontainers.Seed(t), 2))
	for _, place := range []string{inPlace, remote} {
		chosen := cellsOf(place)
		if !testcontainers.Whole() {
			random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
			chosen = chosen[:cellsInShort]
		}
		for _, c := range chosen {
			t.Run(place+"/"+c.fault.name+"/"+c.moment.name, func(t *testing.T) {
				t.Parallel()
				if outcome := c.run(t); !t.Failed() {
					table.set(place, c.moment.name, c.fault.name, outcome)
				}
			})
		}
	}
}

const (
	inPlace = "in one database"
	remote  = "to another server"
	// how many cells of each place make test goes through
	cellsInShort = 1
)

// cell is a fault at a moment.
type cell struct {
	place  string
	moment instant
	fault  fault
}

func cellsOf(place string) (all []cell) {
	for _, m := range instants {
		for _, f := range faultsAt(place) {
			if (m.place == "" || m.place == place) && (f.needs == nil || f.needs()) {
				all = append(all, cell{place, m, f})
			}
		}
	}
	return all
}

// faultsAt are those that can happen to a run of a place.
func faultsAt(place string) []fault {
	return slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.place != "" && f.place != place })
}

// back: the moment is one of the rollback, after a cutover.
func (m instant) back() bool { return strings.HasPrefix(m.name, "rollback") }

// instant is a moment of a run: a condition on the control schema, or a message that
// the process is about to send.
type instant struct {
	name  string
	place string                                    // empty: both
	when  string                                    // a condition, in production
	sends func() func(app string, sent []byte) bool // or a message
}

var instants = []instant{
	{name: "building", when: `SELECT 'x' FROM pgumbra.run WHERE phase = 'building'`},
	{name: "capturing", when: `SELECT 'x' FROM pgumbra.run WHERE phase = 'capturing'`},
	{name: "copying", when: `SELECT 'x' FROM pgumbra.run WHERE phase = 'copying'`},
	{name: "catch-up", sends: then(text("pgumbra/work", "catching_up"))},
	{name: "indexing", sends: then(text("pgumbra/work", "indexing"))},
	{name: "following", when: `SELECT 'x' FROM pgumbra.shadow_table HAVING count(*) > 0 AND count(*) = count(*) FILTER (WHERE state = 'following')`},
	{name: "cutover: fence", place: inPlace, sends: then(text("pgumbra/cutover", " IN EXCLUSIVE MODE"))},
	{name: "cutover: drain", place: inPlace, sends: then(text("pgumbra/cutover", " IN EXCLUSIVE MODE"), text("pgumbra/work", ""))},
	{name: "cutover: sequences and snapshots", place: inPlace, sends: then(text("pgumbra/cutover", " IN EXCLUSIVE MODE"), text("pgumbra/work", ""), text("pgumbra/cutover", ""))},
	{name: "cutover: swap", place: inPlace, sends: then(text("pgumbra/cutover", "ALTER SCHEMA"))},
	{name: "cutover: COMMIT", place: inPlace, sends: then(text("pgumbra/cutover", "ALTER SCHEMA"), text("pgumbra/cutover", "COMMIT"))},
	{name: "cutover: PAUSE", place: remote, sends: then(text("", `"step":"pausing"`))},
	{name: "cutover: fence", place: remote, sends: then(text("", `"step":"fencing"`))},
	{name: "cutover: switch PgBouncer", place: remote, sends: then(text("", `"step":"switching"`))},
	{name: "cutover: decide", place: remote, sends: then(text("", `"step":"deciding"`))},
	{name: "cutover: RESUME", place: remote, sends: then(text("", `"step":"swapped"`))},
	{name: "watching", when: `SELECT 'x' FROM pgumbra.run WHERE phase = 'watching'`},
	{name: "watching: a batch is carried back", sends: then(text("pgumbra/work", "reverse_1_0"), text("pgumbra/work", ""))},
	{name: "watching: a proof", sends: then(text("pgumbra/work", "INSERT INTO pgumbra.proof"), text("pgumbra/work", ""))},
	{name: "rollback: fence", place: inPlace, sends: then(text("pgumbra/cutover", " IN EXCLUSIVE MODE"))},
	{name: "rollback: drain", place: inPlace, sends: then(text("pgumbra/cutover", " IN EXCLUSIVE MODE"), text("pgumbra/work", ""))},
	{name: "rollback: sequences and snapshots", place: inPlace, sends: then(text("pgumbra/cutover", " IN EXCLUSIVE MODE"), text("pgumbra/work", ""), text("pgumbra/cutover", ""))},
	{name: "rollback: swap", place: inPlace, sends: then(text("pgumbra/cutover", "ALTER SCHEMA"))},
	{name: "rollback: COMMIT", place: inPlace, sends: then(text("pgumbra/cutover", "ALTER SCHEMA"), text("pgumbra/cutover", "COMMIT"))},
	{name: "rollback: PAUSE", place: remote, sends: then(text("", `"step":"pausing"`))},
	{name: "rollback: fence", place: remote, sends: then(text("", `"step":"fencing"`))},
	{name: "rollback: switch PgBouncer", place: remote, sends: then(text("", `"step":"switching"`))},
	{name: "rollback: decide", place: remote, sends: then(text("", `"step":"deciding"`))},
	{name: "rollback: RESUME", place: remote, sends: then(text("", `"step":"swapped"`))},
	{name: "rollback: tidying up", when: `SELECT 'x' FROM pgumbra.run WHERE rollback IS NOT NULL AND rollback->>'tidied' IS NULL`},
}

// text is a message of a session that holds some words; no application: of any.
func text(application, words string) func(string, []byte) bool {
	return func(app string, sent []byte) bool {
		return (application == "" || app == application) && bytes.Contains(sent, []byte(words))
	}
}

// then is the last of several messages, each the next of its kind.
func then(all ...func(string, []byte) bool) func() func(string, []byte) bool {
	return func() func(string, []byte) bool {
		left := all
		return func(app string, sent []byte) bool {
			if len(left) == 0 || !left[0](app, sent) {
				return false
			}
			left = left[1:]
			return len(left) == 0
		}
	}
}

// fault happens to a process that stands still at its moment.
type fault struct {
	name  string
	do    func(ctx context.Context, w *faulty, p *process)
	place string      // empty: both
	needs func() bool // whether it can be made here; nil: anywhere
	disk  heldOn      // what is on a disk of its own for that
	clock bool        // production's server has a clock of its own
	there bool        // the shadow has a server of its own
}

// heldOn is what a small disk holds in a cell.
type heldOn int

const (
	noDisk       heldOn = iota
	journalsDisk        // production's database, and the shadow if that is in it
	shadowsDisk         // the shadow's database, on another server
	walDisk             // the WAL of production's server
)

// diskMegabytes hold what a cell writes several times.
const diskMegabytes = 256

var faults = slices.Concat([]fault{
	{name: "the leader is killed", do: func(_ context.Context, w *faulty, p *process) { must(w.t, p.Process.Kill()) }},
	{name: "the server crashes", do: func(ctx context.Context, w *faulty, p *process) {
		must(w.t, w.server.Crash(ctx))
		must(w.t, w.server.Restart(ctx))
		must(w.t, p.Process.Signal(syscall.SIGCONT))
	}},
	{name: "the new server crashes", place: remote, there: true, do: func(ctx context.Context, w *faulty, p *process) {
		must(w.t, w.newServer.Crash(ctx))
		must(w.t, w.newServer.Restart(ctx))
		must(w.t, p.Process.Signal(syscall.SIGCONT))
	}},
	{name: "the connections break", do: func(_ context.Context, w *faulty, p *process) {
		w.each((*testcontainers.Proxy).Cut)
		must(w.t, p.Process.Signal(syscall.SIGCONT))
		w.each((*testcontainers.Proxy).Heal)
	}},
	{name: "the connections freeze", do: func(ctx context.Context, w *faulty, p *process) {
		w.each((*testcontainers.Proxy).Stall)
		must(w.t, p.Process.Signal(syscall.SIGCONT))
		select {
		case <-time.After(2 * stallOfTheStopped): // what it held has been ended by then
		case <-ctx.Done():
		}
		w.each((*testcontainers.Proxy).Heal)
	}},
	{name: "no answer to the next COMMIT", do: func(_ context.Context, w *faulty, p *process) {
		words := "commit" // as pgx sends it
		if w.cutover {
			words = "COMMIT" // as the cutover does
		}
		for _, x := range w.proxies[:min(len(w.proxies), 2)] {
			w.hidden = append(w.hidden, x.HideAnswer([]byte(words)))
		}
		must(w.t, p.Process.Signal(syscall.SIGCONT))
	}},
	{name: "another one leads, then it wakes up", do: func(ctx context.Context, w *faulty, p *process) {
		w.leads(ctx)
		must(w.t, p.Process.Signal(syscall.SIGCONT))
	}},
}, faultsOfDisks(), faultsOfClocks())

// leads lets a standby take over: before a rollback it leads the run to its end, and
// otherwise waits for whoever asks it for one.
func (w *faulty) leads(ctx context.Context) {
	w.t.Helper()
	if w.back {
		w.next = w.start(ctx, w.direct("run", "--standby")...)
		w.wait(ctx, `SELECT 'x' FROM pgumbra.event WHERE kind = 'taken-over'`)
		return
	}
	next := w.start(ctx, w.direct("run", "--standby", "--cutover")...)
	if code := next.code(); code != exitDone {
		w.t.Errorf("the standby that took over: exit code %d\n%s", code, &next.err)
	}
}

// faulty is a run that a fault happens to, on a server that may crash.
type faulty struct {
	*operator
	server  *testcontainers.Server // production's
	disk    *disk                  // that the cell fills
	clock   *clock                 // of the server
	proxies []*testcontainers.Proxy
	sides   *writers
	cutover bool // it is at a moment of the cutover
	back    bool // or of the rollback, or of the watch before it

	newServer *testcontainers.Server // the shadow's; nil: one for all
	next      *process               // that leads from then on; nil: none
	hidden    []<-chan struct{}      // closed once an answer was kept back
}

func (w *faulty) each(f func(*testcontainers.Proxy)) {
	for _, p := range w.proxies {
		f(p)
	}
}

// direct are arguments of a process that reaches the servers by ways of its own.
func (w *faulty) direct(args ...string) []string {
	args = append(args, "--set", "production.dsn="+w.dsn)
	if w.there != "" {
		args = append(args, "--set", "shadow.dsn="+w.there)
	}
	return args
}

func newFaulty(ctx context.Context, t *testing.T, c cell) *faulty {
	t.Helper()
	w := &faulty{operator: &operator{t: t, dir: t.TempDir(), run: "up"}}
	w.startServer(ctx, c.fault)
	w.sql(small.sql)
	direct, budget := w.dsn, fmt.Sprintf("cutover: {max_stall: %s, lock_timeout: 500ms, attempts: 200}\n", stallOfTheStopped)
	if c.place == remote {
		f := remoteFrom(t, w.operator, w.shadowOf(ctx, c.fault))
		w.proxies = []*testcontainers.Proxy{f.toProduction, f.toShadow, f.toConsole}
		budget = strings.Replace(f.planLines(), "cutover: {max_stall: 20s, lock_timeout: 10s}\n", budget, 1)
	} else {
		w.proxies = []*testcontainers.Proxy{proxyTo(t, direct)}
	}
	w.dsn = w.proxies[0].Through(direct)
	w.settle(small.with("", nil, budget+"copy: {min_free_disk: 0}\n")) // nobody looks how full a disk is
	w.dsn = direct
	w.sides = writeToBoth(ctx, w.operator, c.place)
	return w
}

// startServer starts production's, with what a fault needs of it.
func (w *faulty) startServer(ctx context.Context, f fault) {
	w.t.Helper()
	o := testcontainers.Options{}
	if f.disk != noDisk {
		w.disk = newDisk(w.t, diskMegabytes)
		o.Settings = map[string]string{"max_wal_size": "64MB", "min_wal_size": "32MB"}
	}
	if f.clock {
		w.clock = newClock(w.t)
		o.Environment = w.clock.environment()
	}
	w.server, w.dsn = w.own(ctx, o)
	switch f.disk {
	case journalsDisk:
		w.dsn = w.disk.databaseOn(ctx, w.t, w.server)
	case walDisk:
		w.disk.holdWAL(ctx, w.t, w.server)
	case noDisk, shadowsDisk:
	}
}

// own is a server of the cell's, and a database there.
func (w *faulty) own(ctx context.Context, o testcontainers.Options) (*testcontainers.Server, string) {
	w.t.Helper()
	server, err := testcontainers.Start(ctx, o)
	must(w.t, err)
	w.t.Cleanup(func() { _ = server.Discard(context.WithoutCancel(ctx)) })
	return server, server.DSN("postgres")
}

// shadowOf is the other server's database.
func (w *faulty) shadowOf(ctx context.Context, f fault) (dsn string) {
	w.t.Helper()
	if f.disk != shadowsDisk && !f.there {
		return testcontainers.Database(w.t)
	}
	w.newServer, dsn = w.own(ctx, testcontainers.Options{})
	if f.there {
		return dsn
	}
	return w.disk.databaseOn(ctx, w.t, w.newServer)
}

// run goes through the cell, and says what became of it.
func (c cell) run(t *testing.T) string {
	t.Helper()
	ctx := limited(t, 5*time.Minute)
	w := newFaulty(ctx, t, c)
	command := []string{"run", "--cutover"}
	p := w.start(ctx, command...)
	if c.moment.back() || c.moment.watched() { // and forward again, since the new side is followed
		if code := p.code(); code != exitDone {
			t.Fatalf("the cutover: exit code %d\n%s", code, &p.err)
		}
		command = []string{"rollback", "--follow"}
		if c.moment.watched() {
			command = []string{"run"}
		}
		p = w.start(ctx, command...)
	}
	if !w.standsAt(ctx, p, c.moment) {
		t.Fatalf("%s was never reached\n%s", c.moment.name, &p.err)
	}
	w.back = c.moment.back() || c.moment.watched()
	w.cutover = strings.HasPrefix(c.moment.name, "cutover") || c.moment.back()
	c.fault.do(ctx, w, p)
	var outcome string
	if c.moment.watched() {
		outcome = w.wentBack(ctx, p)
	} else {
		outcome = w.became(ctx, p, command)
	}
	if w.back {
		w.do(ctx, exitDone, w.direct("cutover")...)
	}
	if len(w.hidden) > 0 && !slices.ContainsFunc(w.hidden, closed) {
		outcome = "no COMMIT was sent any more"
	}
	w.sides.wrote(ctx, t, swapsOf(c.moment))
	w.do(ctx, exitDone, w.direct("finish", "--drop-old", "--purge")...)
	if w.next != nil {
		if code := w.next.code(); code != exitDone {
			t.Errorf("the standby that leads the watch: exit code %d\n%s", code, &w.next.err)
		}
	}
	return outcome
}

// swapsOf is how often the clients' side changes in a cell.
func swapsOf(at instant) int {
	if at.back() || at.watched() { // there, back, and there again
		return 3
	}
	return 1
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// standsAt stops the process at a moment. False: it ended before.
func (w *faulty) standsAt(ctx context.Context, p *process, at instant) bool {
	w.t.Helper()
	if at.when != "" {
		return w.hitWhen(ctx, p, moment{name: at.name, when: at.when}, func() { must(w.t, p.Process.Signal(syscall.SIGSTOP)) })
	}
	m := &messages{number: each(at.sends()), stopAt: 1, stopped: make(chan struct{}), process: p}
	w.each(func(x *testcontainers.Proxy) { x.Watch(m.see) })
	defer w.each(func(x *testcontainers.Proxy) { x.Watch(nil) })
	select {
	case <-m.stopped:
		return true
	case <-p.over:
		return false
	case <-ctx.Done():
		return false
	}
}
