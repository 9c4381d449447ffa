package cutover

import (
	"fmt"
	"strings"
	"time"
)

// partOf is what people call the steps of the stall. What is not named here is looked at,
// noted and agreed about at last.
var partOf = map[string]string{
	"fence":                               "fence",
	"compare the tables behind the fence": "drain",
	"drain":                               "drain",
	"fill materialized views":             "drain",
	"mark the drain":                      "drain",
	"read sequences":                      "sequences",
	"wait for old snapshots":              "old snapshots",
	"keep readers out":                    "old snapshots",
	"swap":                                "swap",
	"list the foreign keys to validate":   "behind the fence",
	"mark the swap":                       "behind the fence",
	"run the migrations":                  "behind the fence",
	"wait for snapshots from before":      "behind the fence",
	"guard":                               "behind the fence",
	"refuse writes to production":         "clients",
	"redirect clients":                    "clients",
	"meet the others behind the fence":    "others of the group",
	"meet the others before the commit":   "others of the group",
	"commit":                              "commit",
}

const (
	partLook    = "last look"
	partRelease = "release" // of clients that a pool holds
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
	if a.began.IsZero() || s.part == ahead || s.name == "release" { // it ends the stall
		return
	}
	name, named := partOf[s.name]
	if !named {
		name = partLook
	}
	if s.name == "fence" {
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
