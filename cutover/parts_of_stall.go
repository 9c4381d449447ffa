package cutover

import (
	"fmt"
	"strings"
	"time"
)

// Parts of a stall, as people call them. What looks, notes and agrees at last is the last
// look.
const (
	uncounted     = "" // before it, or after
	partFence     = "fence"
	partDrain     = "drain"
	partSequences = "sequences"
	partSnapshots = "old snapshots"
	partSwap      = "swap"
	partBehind    = "behind the fence"
	partClients   = "clients"
	partOthers    = "others of the group"
	partLook      = "last look"
	partCommit    = "commit"
	partRelease   = "release" // of clients that a pool holds
)

// Spent says to people what a stall was spent on; empty: it is not known.
func Spent(parts []PartTime) string {
	var all []string
	for _, p := range parts {
		if p.MS >= 0.05 { // else it says nothing
			all = append(all, fmt.Sprintf("%s %.1f ms", p.Part, p.MS))
		}
	}
	return strings.Join(all, ", ")
}

// spend counts what a step took of the stall, which began with the first lock request
// of the round that succeeded.
func (a *attempt) spend(s step, began time.Time) {
	if a.began.IsZero() || s.of == uncounted {
		return
	}
	name := s.of
	switch {
	case name == partOthers && a.c.With == nil: // of a group
		name = partLook
	case name == partFence:
		began = a.began
	}
	a.addPart(name, time.Since(began))
}

func (a *attempt) addPart(name string, took time.Duration) {
	ms := float64(took.Microseconds()) / 1000
	for i := range a.out.Parts {
		if a.out.Parts[i].Part == name {
			a.out.Parts[i].MS += ms
			return
		}
	}
	a.out.Parts = append(a.out.Parts, PartTime{Part: name, MS: ms})
}

// parts are those of a stall of so long, whose end may be no step's.
func (a *attempt) parts(stall time.Duration) []PartTime {
	all, rest := append([]PartTime{}, a.out.Parts...), float64(stall.Microseconds())/1000
	for _, p := range all {
		rest -= p.MS
	}
	switch {
	case len(all) == 0 || a.out.Stall == 0:
	case rest < 0: // a step's end is a little later than the answer in it
		all[len(all)-1].MS = max(all[len(all)-1].MS+rest, 0)
	case a.held.IsZero():
		all[len(all)-1].MS += rest
	default:
		all = append(all, PartTime{Part: partRelease, MS: rest})
	}
	return all
}
