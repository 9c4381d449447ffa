package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/replay"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/group"
)

// What --json prints beside the dry run and the status, which are documents of
// their own packages. Their schemas are in docs/schemas.

// verifyDocument is the answer of verify.
type verifyDocument struct {
	Run    string                 `json:"run"`
	Equal  bool                   `json:"equal"`
	Tables []upgrade.TableVerdict `json:"tables"`
}

func verified(run string, verdicts []upgrade.TableVerdict) verifyDocument {
	d := verifyDocument{Run: run, Equal: upgrade.AllEqual(verdicts), Tables: append([]upgrade.TableVerdict{}, verdicts...)}
	for i := range d.Tables {
		v := &d.Tables[i].Verdict
		v.Differences = append([]replay.Difference{}, v.Differences...)
	}
	return d
}

// errorDocument is what stderr holds in its last line where a command with --json
// did not end with 0.
type errorDocument struct {
	Error    string `json:"error"` // what happened
	ExitCode int    `json:"exit_code"`
	Run      string `json:"run,omitempty"`   // where it is known
	Phase    string `json:"phase,omitempty"` // where it is known
	Next     string `json:"next"`            // what to type
	// Findings are the blockers that ended the command.
	Findings []plans.Finding `json:"findings,omitempty"`
	// Members are what went wrong with which databases of a group.
	Members []memberFault `json:"members,omitempty"`
}

// memberFault is what went wrong with one database of a group.
type memberFault struct {
	Member   string          `json:"member"`
	Error    string          `json:"error"`
	Findings []plans.Finding `json:"findings,omitempty"` // its blockers
}

// reportJSON is [app.report] for programs.
func (a *app) reportJSON(err error, code int, s *upgrade.Status) {
	d := errorDocument{Error: pg.Redact(a.what(err)), ExitCode: code, Next: a.next(err, code, s)}
	if a.file != nil {
		d.Run = a.file.Name
	}
	if s != nil && s.Phase != nil {
		d.Phase = string(*s.Phase)
	}
	var several *group.Error
	if errors.As(err, &several) {
		for _, m := range several.Members {
			d.Members = append(d.Members, memberFault{Member: m.Name, Error: pg.Redact(a.what(m.Err)), Findings: blockersOf(m.Err)})
		}
	} else {
		d.Findings = blockersOf(err)
	}
	text, fault := json.Marshal(d)
	if fault != nil {
		text, _ = json.Marshal(errorDocument{Error: d.Error, ExitCode: code}) // of text and a number it is always made
	}
	fmt.Fprintln(os.Stderr, string(text))
}

// blockersOf are the findings that ended a command; none: something else did.
func blockersOf(err error) []plans.Finding {
	var blocked *upgrade.Blocked
	if !errors.As(err, &blocked) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(blocked.Plan.Findings), func(f plans.Finding) bool { return f.Level != plans.Blocker })
}
