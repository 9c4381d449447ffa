package main

import (
	"context"
	"fmt"
	"strings"
)

// watched: the moment is one of the watch, which a process keeps the old side current in.
func (m instant) watched() bool { return strings.HasPrefix(m.name, "watching: ") }

// wentBack goes back after a fault in the watch, through the process if it still leads,
// and says what became of that. It may take a second rollback, and no third.
func (w *faulty) wentBack(ctx context.Context, p *process) string {
	w.t.Helper()
	tries := ""
	if q := w.start(ctx, w.direct("rollback", "--follow")...); q.code() != exitDone {
		w.t.Logf("the rollback: exit code %d\n%s", q.code(), &q.err)
		tries = fmt.Sprintf(", the first `rollback` ended with exit code %d", q.code())
		w.do(ctx, exitDone, w.direct("rollback", "--follow")...)
	}
	if w.next != nil { // another one leads: it has to end
		<-p.over
	}
	select {
	case <-p.over:
	case <-ctx.Done():
		w.t.Fatal("the time is over")
	default:
		return "goes on by itself" + tries
	}
	const next = "the next `rollback` goes on"
	switch code := p.code(); code {
	case -1:
		return next + tries
	case exitLed:
		return "it writes nothing more, exit code 4" + tries
	default:
		w.t.Logf("exit code %d\n%s", code, &p.err)
		return fmt.Sprintf("exit code %d, %s%s", code, next, tries)
	}
}
