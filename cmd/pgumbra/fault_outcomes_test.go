package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/pgumbra/pgumbra/testcontainers"
)

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
	var heads []string // a file of an older test may lack columns
	for line := range strings.Lines(string(before)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			place = strings.ToLower(title)
		}
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		fields := strings.Split(strings.Trim(line, "|"), "|")
		if strings.HasPrefix(line, "| at ") {
			heads = fields
			continue
		}
		for i := 1; i < min(len(fields), len(heads)); i++ {
			o.is[place+"|"+strings.TrimSpace(fields[0])+"|"+strings.TrimSpace(heads[i])] = strings.TrimSpace(fields[i])
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
froze for two times ` + "`cutover.max_stall`" + `. Where another one leads, a standby took over meanwhile; before a cutover it led the run to its end. A
full disk had room again after two seconds, or, where it held the WAL, once the server had died of it; in one database journals and shadow are
on one disk. Clocks that jump are those of production's server: the process counts time by one that never does. A rollback was one with
` + "`--follow`" + `, and a second cutover came after it. In the watch, after the cutover, ` + "`run`" + ` was typed again and met the fault while it kept the old side current; then
` + "`rollback`" + ` was typed. A cell that is empty was not gone through.
`

func (o *outcomes) markdown() string {
	var b strings.Builder
	b.WriteString(faultMatrixHead)
	for _, place := range []string{inPlace, remote} {
		fmt.Fprintf(&b, "\n## %s\n\n| at |", strings.ToUpper(place[:1])+place[1:])
		for _, f := range faultsAt(place) {
			fmt.Fprintf(&b, " %s |", f.name)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(faultsAt(place))) + "\n")
		for _, m := range instants {
			if m.place != "" && m.place != place {
				continue
			}
			fmt.Fprintf(&b, "| %s |", m.name)
			for _, f := range faultsAt(place) {
				fmt.Fprintf(&b, " %s |", o.is[place+"|"+m.name+"|"+f.name])
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// became waits for the process's end, goes on with another one where it did not
// come through, and says which.
func (w *faulty) became(ctx context.Context, p *process, command []string) string {
	w.t.Helper()
	code := p.code()
	if ctx.Err() != nil {
		w.t.Fatalf("the time is over, and %s has not ended\n%s%s", command[0], &p.err, w.nextSays())
	}
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

// nextSays is what the process says that leads from the fault on.
func (w *faulty) nextSays() string {
	if w.next == nil {
		return ""
	}
	return "the next one:\n" + w.next.err.String()
}
