package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
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

// How long a client may wait because of a process that was stopped, as a ratio
// to max_stall: the server's own timers, and a machine that does other things too.
const (
	stallOfTheStopped = 1500 * time.Millisecond
	bearable          = 1.6
)

// TestProcessStoppedAtAnyStatementOfTheCutoverHoldsNobodyUp: a process is stopped
// (SIGSTOP) as it sends a statement of the cutover. Its servers end what it holds,
// another process goes on, and no acknowledged write is lost. The statements are
// chosen by a seed; make test-faults takes each of them.
func TestProcessStoppedAtAnyStatementOfTheCutoverHoldsNobodyUp(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	for name, world := range map[string]func(*testing.T) *stopping{"in place": stoppingInPlace, "remote": stoppingRemote} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, faultTime())
			if testcontainers.Whole() {
				stopAtEach(ctx, func() *stopping { return world(t) })
				return
			}
			stopAtSome(ctx, world(t), rand.New(rand.NewPCG(testcontainers.Seed(t), 1)))
		})
	}
}

// stopAtSome stops three processes, one after the other, each further on. The first one
// wakes up every other time: it takes ten seconds until it counts as dead.
func stopAtSome(ctx context.Context, s *stopping, random *rand.Rand) {
	s.t.Helper()
	s.rounds = random.IntN(2)
	for n, rounds := 1, 0; rounds < 3; rounds++ {
		n += random.IntN(messagesOfACutover / 3)
		if !s.round(ctx, n) || s.swapped(ctx) {
			break
		}
	}
	s.settled(ctx)
}

// stopAtEach begins anew with another world once one is swapped, until a cutover
// has no nth message; or goes through a part of them.
func stopAtEach(ctx context.Context, world func() *stopping) {
	s := world()
	first, step := testcontainers.Part(s.t)
	for n := first; s.round(ctx, n); n += step {
		if s.swapped(ctx) {
			s.settled(ctx)
			s = world()
			s.rounds = 1 // of all worlds together one process wakes up: each would cost ten seconds
		}
	}
	s.settled(ctx)
}

// messagesOfACutover are about as many messages as one sends from its first lock
// to its commit.
const messagesOfACutover = 60

func faultTime() time.Duration {
	if testcontainers.Whole() {
		return time.Hour
	}
	return 3 * time.Minute
}

// stopping is a run that follows, and clients of its production.
type stopping struct {
	*operator
	proxies []*testcontainers.Proxy // to all that the process talks to
	probes  []*probe
	leave   []func() // ends the probes
	remote  bool
	rounds  int
}

func stoppingInPlace(t *testing.T) *stopping {
	t.Helper()
	return settledInPlace(t).follow()
}

func stoppingRemote(t *testing.T) *stopping {
	t.Helper()
	return settledRemote(t).follow()
}

// settledInPlace is a plan that nobody runs yet.
func settledInPlace(t *testing.T) *stopping {
	t.Helper()
	o := &operator{t: t, dir: t.TempDir(), dsn: testcontainers.Database(t), run: "up"}
	o.sql(small.sql)
	direct, proxy := o.dsn, proxyTo(t, o.dsn)
	o.dsn = proxy.Through(direct)
	o.settle(small.with("", nil, fmt.Sprintf("cutover: {max_stall: %s, attempts: 50}\n", stallOfTheStopped)))
	o.dsn = direct
	return &stopping{operator: o, proxies: []*testcontainers.Proxy{proxy}}
}

func settledRemote(t *testing.T) *stopping {
	t.Helper()
	o := &operator{t: t, dir: t.TempDir(), dsn: testcontainers.Database(t), run: "up"}
	o.sql(small.sql)
	f := remoteFrom(t, o, testcontainers.Database(t))
	direct := o.dsn
	o.dsn = f.toProduction.Through(direct)
	lines := strings.Replace(f.planLines(), "{max_stall: 20s, lock_timeout: 10s}", fmt.Sprintf("{max_stall: %s, attempts: 50}", stallOfTheStopped), 1)
	o.settle(small.with("", nil, lines))
	o.dsn = direct
	return &stopping{operator: o, proxies: []*testcontainers.Proxy{f.toProduction, f.toShadow, f.toConsole}, remote: true}
}

// follow brings the run to following, and clients to production.
func (s *stopping) follow() *stopping {
	s.t.Helper()
	ctx := limited(s.t, 2*time.Minute)
	s.do(ctx, exitDone, "run", "--until", "following")
	s.probe(production)
	return s
}

// probe brings clients to a side until the run is settled, or the test ends.
func (s *stopping) probe(where side) {
	s.t.Helper()
	life, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, sql := range []string{"UPDATE shop.a SET n = n + 1 WHERE id = 1", "UPDATE shop.c SET t = t || '.' WHERE id = 1", "SELECT FROM shop.a WHERE id = 2"} {
		p := &probe{sql: sql, conn: s.connectTo(life, where), done: make(chan struct{}, 1)}
		s.probes = append(s.probes, p)
		all.Go(func() { p.work(life) })
	}
	leave := func() { stop(); all.Wait() }
	s.leave = append(s.leave, leave)
	s.t.Cleanup(leave)
}

// probe is a client that sends one statement again and again.
type probe struct {
	sql  string
	conn *pgx.Conn
	done chan struct{} // sent to after each statement, if somebody waits

	mu      sync.Mutex
	longest time.Duration
	acked   int
	failed  error
}

func (p *probe) work(ctx context.Context) {
	defer func() { _ = p.conn.Close(context.Background()) }()
	for ctx.Err() == nil {
		began := time.Now()
		_, err := p.conn.Exec(ctx, p.sql)
		p.mu.Lock()
		p.longest = max(p.longest, time.Since(began))
		switch {
		case err == nil:
			p.acked++
		case pg.State(err) != pgerrcode.ReadOnlySQLTransaction && ctx.Err() == nil: // the old side's fence, remote
			p.failed = err
		}
		p.mu.Unlock()
		select {
		case p.done <- struct{}{}:
		default:
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// passed waits until a statement ended that began after this call.
func (p *probe) passed(ctx context.Context) error {
	for range 3 { // one that was noted before, one that was under way, and one more
		select {
		case <-p.done:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", p.sql, ctx.Err())
		}
	}
	return nil
}

// take is what the probe has seen since it was last asked.
func (p *probe) take() (longest time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	longest, err, p.longest, p.failed = p.longest, p.failed, 0, nil
	return longest, err
}

// round stops a process as it sends the nth message of a cutover, looks how long
// clients wait, and lets another process go on. False: it ended before.
func (s *stopping) round(ctx context.Context, n int) bool {
	s.t.Helper()
	s.rounds++
	for _, p := range s.probes {
		_, _ = p.take()
	}
	began := time.Now()
	m := s.stopped(ctx, n, ofAnAttempt(), "run", "--cutover")
	defer func() { s.t.Logf("round %d took %s", s.rounds, time.Since(began).Round(time.Millisecond)) }()
	select {
	case <-m.process.over:
		if code := m.process.code(); code != exitDone {
			s.t.Fatalf("run --cutover ended with %d\n%s", code, &m.process.err)
		}
		s.unwatched()
		s.t.Logf("%d messages", m.count)
		return false
	case <-m.stopped:
	}
	s.unwatched()
	s.bearable(ctx, fmt.Sprintf("stopped at message %d, %s", n, m.last))
	s.succeed(ctx, m.process)
	return true
}

// bearable waits until each client was served, and asks how long that took.
func (s *stopping) bearable(ctx context.Context, when string) {
	s.t.Helper()
	worst := 0.0
	for _, p := range s.probes {
		if err := p.passed(ctx); err != nil {
			s.t.Fatalf("%s: %v", when, err)
		}
		longest, err := p.take()
		ratio := longest.Seconds() / stallOfTheStopped.Seconds()
		worst = max(worst, ratio)
		if ratio > bearable {
			s.t.Errorf("%s: a client waited for %.1f times max_stall: %s", when, ratio, p.sql)
		}
		if err != nil {
			s.t.Errorf("%s: a client failed: %s: %v", when, p.sql, err)
		}
	}
	s.t.Logf("%s: %.2f of max_stall", when, worst)
}

// succeed ends the stopped process; the first one of a sweep wakes up while its
// successor leads: it writes nothing any more.
func (s *stopping) succeed(ctx context.Context, stopped *process) {
	s.t.Helper()
	if s.rounds > 1 {
		must(s.t, stopped.Process.Kill())
		stopped.code()
		return
	}
	epoch, began := s.query(ctx, `SELECT epoch::text FROM pgumbra.run`), time.Now()
	next := s.start(ctx, "run")
	s.wait(ctx, fmt.Sprintf(`SELECT 'x' FROM pgumbra.run JOIN pgumbra.leader ON run_id = id WHERE epoch > %s AND switch IS NULL
		AND phase IN ('following', 'watching') AND heartbeat IS NOT NULL`, epoch))
	if took := time.Since(began); took > 3*10*time.Second { // ten until a leader counts as dead
		s.t.Errorf("the stopped process was taken over from after %s", took)
	}
	must(s.t, stopped.Process.Signal(syscall.SIGCONT))
	if code := stopped.code(); code != exitLed && (code != exitDone || !s.swapped(ctx)) {
		s.t.Errorf("the one that woke up: exit code %d\n%s", code, &stopped.err)
	}
	_ = next.Process.Signal(os.Interrupt) // it may be over already
	if code := next.code(); code != exitInterrupted && code != exitDone {
		s.t.Errorf("its successor: exit code %d\n%s", code, &next.err)
	}
}

func (s *stopping) swapped(ctx context.Context) bool {
	s.t.Helper()
	return s.query(ctx, `SELECT 'x' FROM pgumbra.run WHERE phase = 'watching' AND switch IS NULL`) != ""
}

// settled brings the run to its end and asks for each acknowledged write.
func (s *stopping) settled(ctx context.Context) {
	s.t.Helper()
	s.do(ctx, exitDone, "run", "--cutover")
	for _, p := range s.probes {
		must(s.t, p.passed(ctx))
		if _, err := p.take(); err != nil {
			s.t.Errorf("%s: %v", p.sql, err)
		}
	}
	conn := s.connectTo(ctx, theShadow)
	defer conn.Close(ctx)
	for i, sql := range []string{"SELECT n - 1 FROM shop.a WHERE id = 1", "SELECT length(t) - 1 FROM shop.c WHERE id = 1"} {
		p := s.probes[i]
		p.mu.Lock()
		var found int
		err := conn.QueryRow(ctx, sql).Scan(&found)
		if err != nil || found < p.acked || found > p.acked+1 { // one is under way
			s.t.Errorf("%d times acknowledged, done %d times: %s: %v", p.acked, found, p.sql, err)
		}
		p.mu.Unlock()
	}
	for _, leave := range s.leave {
		leave()
	}
	s.do(ctx, exitDone, "finish", "--drop-old", "--purge")
}

// messages are what a process sends; it is stopped at one.
type messages struct {
	number  func(application string, sent []byte) int // 0: it does not count
	stopAt  int
	stopped chan struct{} // closed then

	mu      sync.Mutex
	process *process
	count   int // the last one's number
	last    string
}

func (m *messages) see(application string, sent []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count == m.stopAt {
		return
	}
	n := m.number(application, sent)
	if n == 0 {
		return
	}
	m.count = n
	m.last = application + ": " + printable(sent)
	if m.count == m.stopAt {
		_ = m.process.Process.Signal(syscall.SIGSTOP)
		close(m.stopped)
	}
}

// each counts the messages that count.
func each(counts func(application string, sent []byte) bool) func(string, []byte) int {
	n := 0
	return func(application string, sent []byte) int {
		if !counts(application, sent) {
			return 0
		}
		n++
		return n
	}
}

// sinceTheCutoverBegan counts from the beginning of its transaction on.
func sinceTheCutoverBegan() func(string, []byte) bool {
	begun := false
	return func(application string, sent []byte) bool {
		begun = begun || beginsAnAttempt(application, sent)
		return begun && application != "pgumbra/leader" && application != "pgumbra/watchdog"
	}
}

func beginsAnAttempt(application string, sent []byte) bool {
	return application == "pgumbra/cutover" && bytes.Contains(sent, []byte("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"))
}

// ofAnAttempt counts what an attempt sends from its beginning to its end, what its own
// sessions have tried before included, and anew with the next. What is sent while the run
// follows is none of a cutover's, and never ends. After the swap it counts all.
func ofAnAttempt() func(string, []byte) int {
	n, attempting := 0, false
	return func(application string, sent []byte) int {
		switch {
		case slices.Contains([]string{"pgumbra/leader", "pgumbra/watchdog", "pgumbra/status", "pgumbra/dump"}, application):
			return 0
		case application == "pgumbra/work" && intoTheCutover.Match(sent):
			attempting = true
		case application == "pgumbra/work" && backToFollowing.Match(sent):
			n, attempting = 0, false
			return 0
		case !attempting && (application != "pgumbra/cutover" || n == 0 && !beginsAnAttempt(application, sent)):
			return 0
		}
		n++
		return n
	}
}

// The values with which a leader changes the phase for an attempt, and once it came to
// nothing: the one that it is in, its epoch, the next.
var (
	intoTheCutover  = regexp.MustCompile(`(?s)following\x00\x00\x00\x08.{8}\x00\x00\x00\x07cutover`)
	backToFollowing = regexp.MustCompile(`(?s)cutover.{0,40}following`)
)

// TestLeaderStoppedInItsFirstBatchesIsReplaced: the sessions that hold locks then
// were opened a moment ago, after the heartbeat. They are ended all the same.
func TestLeaderStoppedInItsFirstBatchesIsReplaced(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	ctx := limited(t, time.Minute)
	s := stoppingInPlace(t)
	m := s.stopped(ctx, 2, each(func(application string, sent []byte) bool { // of two sessions; one may be the pool's first
		return application == "pgumbra/work" && bytes.Contains(sent, []byte("FROM pgumbra.shadow_table")) && bytes.Contains(sent, []byte("FOR UPDATE"))
	}), "run")
	select {
	case <-m.stopped:
	case <-ctx.Done():
		t.Fatal("no two batches were seen")
	}
	s.unwatched()
	s.rounds = 1
	s.succeed(ctx, m.process)
}

// TestProcessStoppedInACopyAProofOrABatchHoldsNobodyUp: what reads production is idle
// there for as long as it writes the shadow, with locks that only a TRUNCATE or an
// ALTER TABLE waits for, and behind that everybody. Its server ends it once its process
// is silent. The process, when it wakes up, goes on where it was.
func TestProcessStoppedInACopyAProofOrABatchHoldsNobodyUp(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	for name, world := range testcontainers.SomeOf(t, map[string]func(*testing.T) *stopping{"in place": settledInPlace, "remote": settledRemote}, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 4*time.Minute)
			s := world(t)
			s.probe(production)
			m := s.stopped(ctx, 1, each(sending("UPDATE pgumbra.chunk")), "run", "--until", "following")
			s.holdsNobodyUp(ctx, "a copy", m)
			m = s.watched(m.process, 2, each(after("COALESCE(sum(")))
			s.wakes(m.process)
			s.holdsNobodyUp(ctx, "a proof", m)
			s.wakes(m.process)
			if code := m.process.code(); code != exitDone {
				t.Fatalf("the one that woke up: exit code %d\n%s", code, &m.process.err)
			}
			m = s.stopped(ctx, 1, each(sending("SET position = $3")), "run")
			s.holdsNobodyUp(ctx, "a batch", m)
			epoch := s.query(ctx, `SELECT epoch::text FROM pgumbra.run`)
			s.wakes(m.process)
			s.waitIn(ctx, theShadow, fmt.Sprintf(`SELECT 'x' FROM pgumbra.run WHERE epoch > %s`, epoch)) // it takes the lead anew
			must(t, m.process.Process.Signal(os.Interrupt))
			if code := m.process.code(); code != exitInterrupted {
				t.Errorf("the one that woke up: exit code %d\n%s", code, &m.process.err)
			}
			m = s.stopped(ctx, 2, each(after("COALESCE(sum(")), "verify")
			s.holdsNobodyUp(ctx, "a proof by command", m)
			s.wakes(m.process)
			if code := m.process.code(); code != exitDone && code != exitError {
				t.Errorf("verify, which lost its sessions: exit code %d\n%s", code, &m.process.err)
			}
			s.settled(ctx)
		})
	}
}

// TestPlanStoppedWhileItsDumpRunsHoldsNobodyUp: Ctrl-Z stops a terminal's whole group of
// processes. pg_dump, which has a lock on every table, is none of it and ends by itself.
func TestPlanStoppedWhileItsDumpRunsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	ctx := limited(t, time.Minute)
	s := settledInPlace(t)
	exe, err := os.Executable()
	must(t, err)
	p := newProgram(ctx, exe, s.dir, s.env, "plan")
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stopped := make(chan struct{})
	stop := sync.OnceFunc(func() {
		_ = syscall.Kill(-p.Process.Pid, syscall.SIGSTOP)
		close(stopped)
	})
	s.proxies[0].Watch(func(application string, sent []byte) {
		if application == "pgumbra/dump" && bytes.Contains(sent, []byte("LOCK TABLE")) {
			stop()
		}
	})
	must(t, p.start())
	select {
	case <-stopped:
	case <-p.over:
		t.Fatalf("no dump was seen\n%s", &p.err)
	}
	s.unwatched()
	s.wait(ctx, `SELECT 'x' WHERE NOT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
		WHERE application_name LIKE 'pgumbra/%' AND relation IN ('shop.a'::regclass, 'shop.c'::regclass))`)
	must(t, syscall.Kill(-p.Process.Pid, syscall.SIGCONT))
	if code := p.code(); code != exitDone {
		t.Errorf("the plan that woke up: exit code %d\n%s", code, &p.err)
	}
}

// sending is a message of a session that works, with a text in it.
func sending(text string) func(string, []byte) bool {
	return func(application string, sent []byte) bool {
		return (application == "pgumbra/work" || application == "pgumbra/verify") && bytes.Contains(sent, []byte(text))
	}
}

// after counts all messages of such sessions from the first one on that holds a text.
func after(text string) func(string, []byte) bool {
	begun, first, each := false, sending(text), sending("")
	return func(application string, sent []byte) bool {
		counts := begun && each(application, sent)
		begun = begun || first(application, sent)
		return counts
	}
}

// holdsNobodyUp waits until a process was stopped, which then reads production, and lets
// somebody ask for all of its tables, as a TRUNCATE does.
func (s *stopping) holdsNobodyUp(ctx context.Context, in string, m *messages) {
	s.t.Helper()
	select {
	case <-m.stopped:
	case <-m.process.over:
		s.t.Fatalf("%s was not seen\n%s", in, &m.process.err)
	}
	s.unwatched()
	for _, p := range s.probes {
		_, _ = p.take()
	}
	// Where this process was the slower one, the locks may be gone already.
	s.wait(ctx, `SELECT 'x' WHERE EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'pgumbra/%'
			AND mode = 'AccessShareLock' AND granted AND relation IN ('shop.a'::regclass, 'shop.c'::regclass))
		OR NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name IN ('pgumbra/work', 'pgumbra/verify') AND xact_start IS NOT NULL)`)
	conn := s.connectTo(ctx, production)
	defer conn.Close(ctx)
	began := time.Now()
	if _, err := conn.Exec(ctx, `BEGIN; LOCK TABLE shop.a, shop.c IN ACCESS EXCLUSIVE MODE; COMMIT`, pgx.QueryExecModeSimpleProtocol); err != nil {
		s.t.Fatal(err)
	}
	if ratio := time.Since(began).Seconds() / stallOfTheStopped.Seconds(); ratio > bearable {
		s.t.Errorf("stopped in %s: a client waited for the tables %.1f times max_stall", in, ratio)
	}
	s.bearable(ctx, "stopped in "+in+", "+m.last)
}

func (s *stopping) wakes(p *process) {
	s.t.Helper()
	must(s.t, p.Process.Signal(syscall.SIGCONT))
}

// stopped starts a process that is stopped at the nth message of some.
func (s *stopping) stopped(ctx context.Context, n int, number func(string, []byte) int, args ...string) *messages {
	s.t.Helper()
	m := &messages{number: number, stopAt: n, stopped: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range s.proxies {
		p.Watch(m.see)
	}
	m.process = s.start(ctx, args...)
	return m
}

// watched lets a process that runs be stopped at the nth message of some.
func (s *stopping) watched(running *process, n int, number func(string, []byte) int) *messages {
	m := &messages{number: number, stopAt: n, stopped: make(chan struct{}), process: running}
	for _, p := range s.proxies {
		p.Watch(m.see)
	}
	return m
}

func (s *stopping) unwatched() {
	for _, p := range s.proxies {
		p.Watch(nil)
	}
}

// printable is a message's beginning on one line.
func printable(sent []byte) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, string(sent))
	text = strings.Join(strings.Fields(text), " ")
	return text[:min(len(text), 110)]
}
