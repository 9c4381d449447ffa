package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/internal/pg"
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
		for _, f := range faults {
			if m.place == "" || m.place == place {
				all = append(all, cell{place, m, f})
			}
		}
	}
	return all
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
	name string
	do   func(ctx context.Context, w *faulty, p *process)
}

var faults = []fault{
	{name: "the leader is killed", do: func(_ context.Context, w *faulty, p *process) { must(w.t, p.Process.Kill()) }},
	{name: "the server crashes", do: func(ctx context.Context, w *faulty, p *process) {
		must(w.t, w.server.Crash(ctx))
		must(w.t, w.server.Restart(ctx))
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
}

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
	proxies []*testcontainers.Proxy
	sides   *writers
	cutover bool              // it is at a moment of the cutover
	back    bool              // or of the rollback
	next    *process          // that leads from then on; nil: none
	hidden  []<-chan struct{} // closed once an answer was kept back
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

func newFaulty(ctx context.Context, t *testing.T, place string) *faulty {
	t.Helper()
	server, err := testcontainers.Start(ctx, testcontainers.Options{})
	must(t, err)
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(ctx)) })
	w := &faulty{operator: &operator{t: t, dir: t.TempDir(), dsn: server.DSN("postgres"), run: "up"}, server: server}
	w.sql(small.sql)
	direct, budget := w.dsn, fmt.Sprintf("cutover: {max_stall: %s, lock_timeout: 500ms, attempts: 200}\n", stallOfTheStopped)
	if place == remote {
		f := remoteFrom(t, w.operator, testcontainers.Database(t))
		w.proxies = []*testcontainers.Proxy{f.toProduction, f.toShadow, f.toConsole}
		budget = strings.Replace(f.planLines(), "cutover: {max_stall: 20s, lock_timeout: 10s}\n", budget, 1)
	} else {
		w.proxies = []*testcontainers.Proxy{proxyTo(t, direct)}
	}
	w.dsn = w.proxies[0].Through(direct)
	w.settle(small.with("", nil, budget))
	w.dsn = direct
	w.sides = writeToBoth(ctx, w.operator, place)
	return w
}

// run goes through the cell, and says what became of it.
func (c cell) run(t *testing.T) string {
	t.Helper()
	ctx := limited(t, 3*time.Minute)
	w := newFaulty(ctx, t, c.place)
	command := []string{"run", "--cutover"}
	p := w.start(ctx, command...)
	if c.moment.back() { // and forward again, since the new side is followed
		if code := p.code(); code != exitDone {
			t.Fatalf("the cutover: exit code %d\n%s", code, &p.err)
		}
		command = []string{"rollback", "--follow"}
		p = w.start(ctx, command...)
	}
	if !w.standsAt(ctx, p, c.moment) {
		t.Fatalf("%s was never reached\n%s", c.moment.name, &p.err)
	}
	w.back = c.moment.back()
	w.cutover = strings.HasPrefix(c.moment.name, "cutover") || w.back
	c.fault.do(ctx, w, p)
	outcome := w.became(ctx, p, command)
	if c.moment.back() {
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
	if at.back() { // there, back, and there again
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
	m := &messages{counts: at.sends(), stopAt: 1, stopped: make(chan struct{}), process: p}
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

// became waits for the process's end, goes on with another one where it did not
// come through, and says which.
func (w *faulty) became(ctx context.Context, p *process, command []string) string {
	w.t.Helper()
	code := p.code()
	next := "the next `" + command[0] + "` goes on"
	outcome := map[int]string{exitDone: "goes on by itself", -1: next, exitLed: "it writes nothing more, exit code 4"}[code]
	switch {
	case outcome == "":
		outcome = fmt.Sprintf("exit code %d, %s", code, next)
		w.t.Logf("exit code %d\n%s", code, &p.err)
	case code == exitDone && w.query(ctx, `SELECT 'x' FROM pgumbra.event WHERE kind = 'taken-over'`) != "":
		outcome = "it finds the run led to its end, and ends"
		if w.back {
			outcome = "it asks the one that leads, which goes on"
		}
	}
	w.do(ctx, exitDone, w.direct(command...)...)
	return outcome
}

// writers write to what is production, and try to write to the other side.
type writers struct {
	t    *testing.T
	stop func()
	dsn  func() string // of the new production

	mu             sync.Mutex
	acked, unknown int
	old, new       []taken
	strange        []string
}

// taken is a write that a side took.
type taken struct{ began, ended time.Time }

// writeToBoth lets clients write until the check. In one database the name leads to
// either side, and the other one has a name of its own; with another server each
// side is written to directly.
func writeToBoth(ctx context.Context, o *operator, place string) *writers {
	w := &writers{t: o.t, dsn: func() string { return o.dsnOf(theShadow) }}
	life, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	begin := func(dsn, sql string, took func(began time.Time, err error)) {
		all.Go(func() { writeOn(life, dsn, sql, took) })
	}
	const update = "UPDATE shop.a SET n = n + 1 WHERE id = 1"
	begin(o.dsn, update, func(began time.Time, err error) { w.note(&w.old, began, err) })
	if place == remote {
		begin(o.there, update, func(began time.Time, err error) { w.note(&w.new, began, err) })
		begin(o.there, "UPDATE pgumbra_up_shop.a SET n = n + 1 WHERE id = 1", w.refused)
	} else {
		begin(o.dsn, "UPDATE pgumbra_up_shop.a SET n = n + 1 WHERE id = 1", w.refused)
		begin(o.dsn, "UPDATE pgumbra_up_old_shop.a SET n = n + 1 WHERE id = 1", w.refused)
	}
	w.stop = sync.OnceFunc(func() { stop(); all.Wait() })
	o.t.Cleanup(w.stop)
	return w
}

// writeOn repeats a statement, on a new session after each lost one.
func writeOn(ctx context.Context, dsn, sql string, took func(time.Time, error)) {
	var conn *pgx.Conn
	for ctx.Err() == nil {
		if conn == nil || conn.IsClosed() {
			var err error
			if conn, err = pgx.Connect(ctx, dsn); err != nil {
				conn = nil
			}
		}
		if conn != nil {
			began := time.Now()
			tag, err := conn.Exec(context.WithoutCancel(ctx), sql)
			if err != nil || tag.RowsAffected() > 0 { // an empty table takes nothing
				took(began, err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	if conn != nil {
		_ = conn.Close(context.Background())
	}
}

func (w *writers) note(side *[]taken, began time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch state := pg.State(err); {
	case err == nil:
		w.acked++
		*side = append(*side, taken{began, time.Now()})
	case state == "" || pg.Unreachable(err): // nobody knows
		w.unknown++
	case slices.Contains([]string{pgerrcode.ReadOnlySQLTransaction, pgerrcode.UndefinedTable, "3F000", pgerrcode.SerializationFailure, "57P03"}, state):
	default:
		w.strange = append(w.strange, err.Error())
	}
}

// refused notes a write to a side that is not production: none may come through.
func (w *writers) refused(_ time.Time, err error) {
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.strange = append(w.strange, "the side that is not production took a write")
	}
}

// wrote ends the writing and asks for each acknowledged write, and whether both
// sides took some at one time: then they would have taken turns more often than there
// were swaps.
func (w *writers) wrote(ctx context.Context, t *testing.T, swaps int) {
	t.Helper()
	w.stop()
	for _, text := range slices.Compact(slices.Sorted(slices.Values(w.strange))) {
		t.Error(text)
	}
	if turns := turns(w.old, w.new); len(w.new) > 0 && turns > swaps {
		t.Errorf("the sides took turns %d times in taking writes, and were swapped %d times", turns, swaps)
	}
	conn, err := pgx.Connect(ctx, w.dsn())
	must(t, err)
	defer conn.Close(ctx)
	var found int
	must(t, conn.QueryRow(ctx, "SELECT n - 1 FROM shop.a WHERE id = 1").Scan(&found))
	if found < w.acked || found > w.acked+w.unknown {
		t.Errorf("%d writes were acknowledged, of %d nobody knows, and %d are there", w.acked, w.unknown, found)
	}
	t.Logf("%d writes acknowledged, of %d nobody knows", w.acked, w.unknown)
}

// turns is how often it was for certain the other side's turn to take a write: one that
// began when the last one had ended. Beginning with the old side.
func turns(before, after []taken) (n int) {
	sides := [][]taken{slices.Clone(before), slices.Clone(after)}
	for _, s := range sides {
		slices.SortFunc(s, func(a, b taken) int { return a.ended.Compare(b.ended) })
	}
	var last time.Time
	for ; ; n++ {
		i := slices.IndexFunc(sides[n%2], func(w taken) bool { return w.began.After(last) })
		if i < 0 {
			return n - 1
		}
		last = sides[n%2][i].ended
	}
}

// outcomes is docs/fault-matrix.md, of which each cell is written when it was gone
// through.
type outcomes struct {
	t    *testing.T
	mu   sync.Mutex
	file string
	is   map[string]string // by place|moment|fault
}

const faultMatrix = "../../docs/fault-matrix.md"

func newOutcomes(t *testing.T) *outcomes {
	t.Helper()
	return &outcomes{t: t, file: faultMatrix, is: map[string]string{}}
}

// read adds what the file says: it may be written in pieces, by several processes.
func (o *outcomes) read() {
	before, err := os.ReadFile(o.file)
	if err != nil && !os.IsNotExist(err) {
		o.t.Error(err)
	}
	place := ""
	for line := range strings.Lines(string(before)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			place = strings.ToLower(title)
		}
		fields := strings.Split(strings.Trim(line, "|"), "|")
		if len(fields) != len(faults)+1 || !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| at ") {
			continue
		}
		for i, f := range faults {
			o.is[place+"|"+strings.TrimSpace(fields[0])+"|"+f.name] = strings.TrimSpace(fields[i+1])
		}
	}
}

func (o *outcomes) set(place, moment, fault, outcome string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.read()
	o.is[place+"|"+moment+"|"+fault] = outcome
	o.t.Logf("%s, %s, %s: %s", place, moment, fault, outcome)
	if testcontainers.Whole() {
		must(o.t, os.WriteFile(o.file, []byte(o.markdown()), 0o644))
	}
}

const faultMatrixHead = `# Fault matrix

Written by ` + "`make test-faults`" + `, which goes through a whole run a cell: the process is stopped at that moment, the fault happens, and the run
is brought to its end. All the while clients write to what is production, and try to write to the other side. A cell is here once it was
gone through; in each, every acknowledged write was there at the end, once, and the two sides never both took writes. What to do:
[what if](what-if.md).

"Goes on by itself": the same process came through to the cutover. "The next ` + "`run`" + ` goes on": typed again, or a standby's. The connections
froze for two times ` + "`cutover.max_stall`" + `. In the last column a standby took over meanwhile; before a cutover it led the run to its end. A
rollback was one with ` + "`--follow`" + `, and a second cutover came after it.
`

func (o *outcomes) markdown() string {
	var b strings.Builder
	b.WriteString(faultMatrixHead)
	for _, place := range []string{inPlace, remote} {
		fmt.Fprintf(&b, "\n## %s\n\n| at |", strings.ToUpper(place[:1])+place[1:])
		for _, f := range faults {
			fmt.Fprintf(&b, " %s |", f.name)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(faults)) + "\n")
		for _, m := range instants {
			if m.place != "" && m.place != place {
				continue
			}
			fmt.Fprintf(&b, "| %s |", m.name)
			for _, f := range faults {
				fmt.Fprintf(&b, " %s |", o.is[place+"|"+m.name+"|"+f.name])
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
