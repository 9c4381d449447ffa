package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestRollbackRefusedByCommand: bad input of a rollback in each place, before a cutover and
// with a row that the old side cannot hold, which is named; what it loses is logged; told
// to, it leaves the row behind and drops the new side. A way back that is closed is told as
// such, with what to type.
func TestRollbackRefusedByCommand(t *testing.T) {
	testcontainers.InTurn(t, 2)
	t.Parallel()
	for name, world := range testcontainers.SomeOf(t, map[string]func(*testing.T) *stopping{"in place": settledInPlace, "remote": settledRemote}, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world(t).rollbackRefused(limited(t, 3*time.Minute))
		})
	}
}

func (s *stopping) rollbackRefused(ctx context.Context) {
	t := s.t
	wants := func(p *process, says ...string) {
		t.Helper()
		for _, text := range says {
			if !strings.Contains(p.err.String()+p.out.String(), text) {
				t.Errorf("%q is not said:\n%s%s", text, &p.err, &p.out)
			}
		}
	}
	wants(s.do(ctx, exitError, "rollback"), "no such run", "Next: ")
	s.do(ctx, exitDone, "run", "--until", "following")
	wants(s.do(ctx, exitError, "rollback"), "rollback is for after the cutover", "Next: pgumbra abort undoes the run")
	s.do(ctx, exitDone, "run", "--cutover")
	s.onNewSide(ctx, "INSERT INTO shop.a (id, b, m) VALUES (5000000000, 'beyond', 1)")
	wants(s.do(ctx, exitNotNow, "rollback"), "the old side cannot hold rows as they are", "shop.a, id=5000000000", "Next: pgumbra verify", "--accept-loss")
	wants(s.do(ctx, exitDone, "status"), "shop.a", "id=5000000000")
	wants(s.do(ctx, exitDone, "rollback", "--accept-loss", "--drop"), "the old side cannot hold this row as it is", "the old side has no place for this", "no old column is made of m",
		"The old side is production again")
	if left := s.query(ctx, `SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname LIKE 'pgumbra\_%'`); left != "" {
		t.Errorf("rollback --drop leaves %s", left)
	}
	wants(s.do(ctx, exitDone, "rollback")) // done already

	s.do(ctx, exitDone, "run", "--cutover")
	s.onNewSide(ctx, "ALTER TABLE shop.a DISABLE TRIGGER USER")
	wants(s.do(ctx, exitFindings, "rollback"), "the way back is closed", "shop.a", "is in phase watching", "Next: pgumbra finish")
	wants(s.do(ctx, exitFindings, "rollback", "--accept-loss"), "the way back is closed")
	s.do(ctx, exitDone, "finish", "--drop-old", "--purge")
	wants(s.do(ctx, exitError, "rollback"), "no such run")
}

// onNewSide is a write of a client after the cutover.
func (s *stopping) onNewSide(ctx context.Context, sql string) {
	s.t.Helper()
	conn := s.connectTo(ctx, theShadow)
	defer conn.Close(ctx)
	_, err := conn.Exec(ctx, sql)
	must(s.t, err)
}
