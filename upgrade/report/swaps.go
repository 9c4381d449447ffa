package report

import (
	"fmt"
	"time"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/upgrade"
)

// mostRefused is how many attempts that came to nothing are listed: --json has all.
const mostRefused = 20

// Line is something of a run that happened at a moment.
type Line struct {
	At   time.Time
	Name string
	Text string
}

// Swaps are the cutovers and rollbacks of a run, in their order.
func Swaps(r upgrade.PastRun) (lines []Line) {
	count := map[string]int{}
	for _, s := range r.Swaps {
		count[s.Kind]++
		text := fmt.Sprintf("%s stall, attempt %d, %s drained", stallText(s.StallMS), s.Attempts, human.Plural(s.Drained, "change"))
		lines = append(lines, Line{s.At, nth(count[s.Kind]) + s.Kind, text})
	}
	return lines
}

// Taken says what all attempts together have taken from clients; empty: none was made.
func Taken(r upgrade.PastRun) string {
	switch t := r.Taken; t.Attempts {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("Writers waited %s in all, in one attempt.", human.Took(t.HeldMS))
	default:
		return fmt.Sprintf("Writers waited %s in all, in %d attempts: %d of them swapped.", human.Took(t.HeldMS), t.Attempts, len(r.Swaps))
	}
}

// Refused are the last attempts that came to nothing, and how many more there were before.
// One that says the same as the one before it is on its line.
func Refused(r upgrade.PastRun) (lines []Line, more int) {
	for i, f := range r.Refused {
		if n := len(lines); i > 0 && f.HeldMS == 0 && f.Swap == r.Refused[i-1].Swap && f.Reason == r.Refused[i-1].Reason && n > 0 {
			continue
		}
		name := f.Swap + ", only a look"
		if f.HeldMS > 0 {
			name = fmt.Sprintf("%s, attempt %d, %s", f.Swap, f.Attempt, human.Took(f.HeldMS))
		}
		lines = append(lines, Line{f.At, name, human.OneLine(f.Reason)})
	}
	more = max(len(lines)-mostRefused, 0)
	return lines[more:], more
}

func nth(n int) string {
	switch n {
	case 1:
		return ""
	case 2:
		return "second "
	case 3:
		return "third "
	}
	return fmt.Sprintf("%dth ", n)
}

func stallText(ms float64) string {
	if ms >= 1000 {
		return human.Took(ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}
