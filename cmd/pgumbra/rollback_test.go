package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// There is no way back before a cutover, nor after finish, nor, unless told so, for
// tables whose rows do not come back: each says what to type.
func TestRollbackByCommand(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	ctx := limited(t, 3*time.Minute)
	o := operatorOf(t, small.with(`CREATE TABLE shop.streets (id int PRIMARY KEY, street text); INSERT INTO shop.streets VALUES (1, 'a');`,
		map[string]string{"3_split.up.sql": "CREATE TABLE shop.places (id int PRIMARY KEY, place text); DROP TABLE shop.streets;"},
		"cutover: {max_stall: 15s}\ntables: {shop.places: {from: \"SELECT id, upper(street) AS place FROM shop.streets\", key: {shop.streets: {id: id}}}}\n"))
	wants := func(p *process, says ...string) {
		t.Helper()
		for _, text := range says {
			if !strings.Contains(p.err.String()+p.out.String(), text) {
				t.Errorf("%q is not said:\n%s%s", text, &p.err, &p.out)
			}
		}
	}
	wants(o.do(ctx, exitError, "rollback"), "no such run", "Next: ")
	o.do(ctx, exitDone, "run", "--until", "following")
	wants(o.do(ctx, exitError, "rollback"), "the run follows production, and is not cut over yet: rollback is for after the cutover", "is in phase following", "Next: pgumbra abort undoes the run")
	wants(o.do(ctx, exitDone, "run", "--cutover"), "Next: pgumbra finish", "pgumbra rollback")
	o.sql("UPDATE shop.a SET n = -5 WHERE id = 3; INSERT INTO shop.places VALUES (2, 'LOST')")
	wants(o.do(ctx, exitError, "abort"), "pgumbra: the cutover is done: abort is for before the cutover", "is in phase watching", "Next: pgumbra finish")
	wants(o.do(ctx, exitDone, "status"), "back     not now: rows of shop.streets do not come back", "--accept-loss", "lost     shop.streets")
	wants(o.do(ctx, exitFindings, "rollback"), "shop.streets", "do not come back", "Next: pgumbra rollback --accept-loss")
	leader := o.start(ctx, "run")
	o.wait(ctx, `SELECT 'x' FROM pgumbra_up_old_shop.a WHERE id = 3 AND n = -5`)
	wants(o.do(ctx, exitDone, "verify"), "shop.a", "equal")
	wants(o.do(ctx, exitUsage, "rollback", "--follow", "--drop"), "choose one")
	wants(o.do(ctx, exitUsage, "rollback", "shop.a"), "rollback takes no tables", "write a migration")
	o.sql("CREATE TABLE shop.made (id int)")
	wants(o.do(ctx, exitNotNow, "rollback", "--accept-loss", "--follow"), "the process that leads is asked", "rollback not possible now", "attempt=1", "was made after the cutover")
	o.sql("DROP TABLE shop.made")
	wants(o.do(ctx, exitDone, "rollback", "--accept-loss", "--follow"), "The old side is production again", "ms stall", "Next: ")
	wants(o.do(ctx, exitDone, "status"), "phase    following", "back     The old side is production again")
	o.do(ctx, exitDone, "rollback", "--follow") // done already
	o.sql("UPDATE shop.a SET n = -6 WHERE id = 3; INSERT INTO shop.streets VALUES (3, 'again')")
	wants(o.do(ctx, exitDone, "cutover"), "The shadow is production now")
	wants(o.do(ctx, exitDone, "status"), "phase    watching", "cutover  ")
	wants(o.do(ctx, exitDone, "history"), "following", "watching", "second cutover")
	if got := o.query(ctx, `SELECT (SELECT string_agg(place, ' ' ORDER BY id) FROM shop.places) || (SELECT n FROM shop.a WHERE id = 3)`); got != "A AGAIN-6" {
		t.Errorf("after the second cutover: %s", got)
	}
	wants(o.do(ctx, exitDone, "rollback", "--accept-loss"), "The old side is production again", "ms stall", "Next: pgumbra finish --drop-old")
	if got := leader.code(); got != exitDone {
		t.Errorf("the leader: exit code %d\n%s", got, &leader.err)
	}
	o.do(ctx, exitDone, "rollback")
	wants(o.do(ctx, exitDone, "status"), "phase    rolled back", "back     The old side is production again", "left     the new side")
	wants(o.do(ctx, exitError, "cutover"), "the run was cut over and rolled back: there is nothing to cut over to any more", "pgumbra run begins another one")
	o.do(ctx, exitDone, "finish", "--drop-old")
	for _, format := range []string{"text", "markdown", "html"} {
		wants(o.do(ctx, exitDone, "report", "--format", format), "second cutover", "second rollback", "attempt 1, ", "drained", " swapped")
	}
	swapsAreTold(t, o.do(ctx, exitDone, "report", "--json").out.String())
	o.do(ctx, exitDone, "run", "--cutover")
	o.do(ctx, exitDone, "finish", "--drop-old")
	wants(o.do(ctx, exitError, "rollback"), "finish has ended the watch", "Next: the run is over; once there are new migrations, pgumbra run begins another one")
}

// swapsAreTold: each of two cutovers and two rollbacks is there with its own stall, and
// what they took is in the sum.
func swapsAreTold(t *testing.T, report string) {
	t.Helper()
	var r upgrade.PastRun
	must(t, json.Unmarshal([]byte(report), &r))
	var kinds []string
	sum := 0.0
	for _, s := range r.Swaps {
		kinds, sum = append(kinds, s.Kind), sum+s.StallMS
		if s.StallMS <= 0 || s.At.IsZero() {
			t.Errorf("the %s has no stall or moment: %s", s.Kind, report)
		}
	}
	if got := strings.Join(kinds, " "); got != "cutover rollback cutover rollback" || r.Taken.Attempts < 4 || r.Taken.HeldMS < sum*0.9 {
		t.Errorf("swaps %s, %.0f ms in all, told %+v", got, sum, r.Taken)
	}
}

// A process that is killed at any statement of a rollback has done it or not: what
// clients were told is there on whichever side is production, and the same command
// again goes back, or tidies up.
func TestProcessKilledInARollbackHasDoneItOrNot(t *testing.T) {
	testcontainers.InTurn(t, 8)
	t.Parallel()
	t.Run("in place", func(t *testing.T) {
		t.Parallel()
		ctx := limited(t, faultTime())
		s := stoppingInPlace(t)
		s.do(ctx, exitDone, "run", "--cutover")
		s.rollsBackKilled(ctx, 5)
	})
	t.Run("remote", func(t *testing.T) { // clients write to each server, past the pool
		t.Parallel()
		ctx := limited(t, faultTime())
		s := stoppingRemote(t)
		s.do(ctx, exitDone, "run", "--cutover")
		s.probe(theShadow)
		s.rollsBackKilled(ctx, 3)
	})
}

func (s *stopping) rollsBackKilled(ctx context.Context, rounds int) {
	t := s.t
	t.Helper()
	random := rand.New(rand.NewPCG(testcontainers.Seed(t), 2))
	step := messagesOfACutover / 4
	if testcontainers.Whole() {
		rounds, step = 1000, 1
	}
	for n, round := 1+random.IntN(step), 0; round < rounds && s.killed(ctx, n); n, round = n+1+random.IntN(step), round+1 {
		s.rolledBackOrNot(ctx)
	}
	s.do(ctx, exitDone, "rollback")
	s.rolledBackOrNot(ctx)
	if phase := s.query(ctx, `SELECT phase || (rollback->>'tidied' IS NOT NULL) FROM pgumbra.run`); phase != "rolled_backtrue" {
		t.Errorf("at the end it is %s", phase)
	}
	s.do(ctx, exitDone, "finish", "--drop-old", "--purge")
	if left := s.query(ctx, `SELECT string_agg(tgname, ' ') FROM pg_trigger WHERE tgname LIKE '%pgumbra%'`); left != "" {
		t.Errorf("left: %s", left)
	}
}

// killed kills a process as it sends the nth message of a rollback. False: there is
// none, and it is done.
func (s *stopping) killed(ctx context.Context, n int) bool {
	s.t.Helper()
	m := s.stopped(ctx, n, each(sinceTheCutoverBegan()), "rollback")
	defer s.unwatched()
	select {
	case <-m.process.over:
		if code := m.process.code(); code != exitDone {
			s.t.Fatalf("rollback ended with %d\n%s", code, &m.process.err)
		}
		return false
	case <-m.stopped:
	}
	must(s.t, m.process.Process.Kill())
	m.process.code()
	return true
}

// rolledBackOrNot: clients are served within what a stall may take, and the ledger is
// right.
func (s *stopping) rolledBackOrNot(ctx context.Context) {
	s.t.Helper()
	phase := s.query(ctx, `SELECT phase FROM pgumbra.run`)
	if phase != "watching" && phase != "rolled_back" {
		s.t.Errorf("the phase is %s", phase)
	}
	s.bearable(ctx, "in phase "+phase)
	live := production
	if s.remote && phase == "watching" {
		live = theShadow
	}
	conn := s.connectTo(ctx, live)
	defer conn.Close(ctx)
	for i, sql := range []string{"SELECT n - 1 FROM shop.a WHERE id = 1", "SELECT length(t) - 1 FROM shop.c WHERE id = 1"} {
		acked, same := 0, 0 // by the clients of both servers
		for _, p := range s.probes {
			if p.sql == s.probes[i].sql {
				p.mu.Lock()
				defer p.mu.Unlock()
				acked, same = acked+p.acked, same+1
			}
		}
		var found int
		if err := conn.QueryRow(ctx, sql).Scan(&found); err != nil || found < acked || found > acked+same { // one of each is under way
			s.t.Errorf("%s: %d times acknowledged, done %d times: %s: %v", phase, acked, found, s.probes[i].sql, err)
		}
	}
}
