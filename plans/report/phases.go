package report

import (
	"strings"

	"github.com/pgumbra/pgumbra/plans"
)

// viewPhases puts the steps under their phases, each with the strongest lock
// that it takes on production.
func viewPhases(p *plans.Plan, steps []plans.Step) []phaseView {
	var phases []phaseView
	for i, s := range steps {
		if n := len(phases); n == 0 || phases[n-1].Name != s.Phase {
			phases = append(phases, phaseView{Name: s.Phase, Lock: "none", Takes: takes(p, s.Phase)})
		}
		last := &phases[len(phases)-1]
		if force := forceOf(s.Lock); force > last.Force || force == last.Force && last.Waits == "" {
			last.Lock, last.Force, last.Waits = s.Lock, force, s.Waits
		}
		s.SQL = terminated(s.SQL)
		last.Steps = append(last.Steps, stepView{Step: s, Number: i + 1})
	}
	return phases
}

// forceOf a lock on production's tables: 1 is in nobody's way but DDL's, 2 stops writers,
// 3 readers too.
func forceOf(lock string) int {
	switch {
	case strings.HasSuffix(lock, "on the shadow's tables"):
		return 0
	case strings.HasPrefix(lock, "SHARE UPDATE EXCLUSIVE"):
		return 1
	case strings.HasPrefix(lock, "ACCESS EXCLUSIVE"):
		return 3
	case strings.HasPrefix(lock, "EXCLUSIVE"), strings.HasPrefix(lock, "SHARE ROW EXCLUSIVE"), strings.HasPrefix(lock, "SHARE "):
		return 2
	case lock == "" || strings.HasPrefix(lock, "none"):
		return 0
	}
	return 1
}

// takes is how long a phase lasts, where that is known.
func takes(p *plans.Plan, phase string) string {
	switch phase {
	case "building", "capturing":
		return "seconds"
	case "copying":
		if p.Estimates.SampleRate > 0 {
			return about(finite(p.Estimates).CopySeconds)
		}
		return "not measured"
	case "following":
		return "as long as you like"
	case "cutover":
		return stall(p)
	case "watching":
		return "until finish"
	}
	return ""
}
