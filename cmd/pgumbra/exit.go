package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/shadow"
	"github.com/pgumbra/pgumbra/upgrade"
	"github.com/pgumbra/pgumbra/upgrade/group"
	"github.com/pgumbra/pgumbra/upgrade/lease"
)

const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2
	exitFindings    = 3
	exitLed         = 4
	exitUnknown     = 5
	exitNotNow      = 6
	exitInterrupted = 130
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// exitCode is the one place where an error becomes a number.
func exitCode(err error) int {
	var (
		usage     *usageError
		file      *plans.FileError
		blocked   *upgrade.Blocked
		different *upgrade.Different
		failed    *upgrade.MigrationFailed
		violated  *upgrade.KeysViolated
		led       *lease.ErrLed
		refused   *planfile.RefusedError
		gates     *notPassed
		structure *rehearsal.StructureError
		noServer  *rehearsal.NoServerError
		noRoom    *rehearsal.NoRoomError
		noWay     *upgrade.NoWayBack
	)
	var several *group.Error
	switch {
	case err == nil, errors.Is(err, upgrade.ErrNothingToDo):
		return exitDone
	case errors.Is(err, cutover.ErrUnknown), errors.Is(err, group.ErrDivided), errors.Is(err, group.ErrAhead):
		return exitUnknown
	case errors.As(err, &several):
		return gravest(several)
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &usage), errors.As(err, &file), errors.As(err, &noServer):
		return exitUsage
	case errors.As(err, &blocked), errors.As(err, &different), errors.As(err, &failed), errors.As(err, &violated), errors.As(err, &refused),
		errors.As(err, &gates), errors.As(err, &structure), errors.As(err, &noRoom), errors.As(err, &noWay),
		errors.Is(err, upgrade.ErrClosed), errors.Is(err, shadow.ErrTriggersFire), keptOut(err):
		return exitFindings
	case errors.As(err, &led), errors.Is(err, control.ErrFencedOff):
		return exitLed
	case errors.Is(err, upgrade.ErrNotNow):
		return exitNotNow
	}
	return exitError
}

// keptOut: production.dsn's role may not use the control schema, which another one made.
func keptOut(err error) bool {
	return pg.State(err) == pgerrcode.InsufficientPrivilege && strings.Contains(pg.Message(err), " "+control.Schema)
}

// report tells the user what happened, where the run stands and what to type
// next, and returns the exit code.
func (a *app) report(err error) int {
	code := exitCode(err)
	if err == nil {
		return code
	}
	if code == exitDone {
		complain("pgumbra: " + err.Error())
		return code
	}
	s := a.standing(code)
	if a.json {
		a.reportJSON(err, code, s)
		return code
	}
	complain("pgumbra: " + strings.ReplaceAll(pg.Redact(a.what(err)), "\n", "\n         "))
	if a.file != nil && a.file.Grouped() && code != exitUsage {
		complain(a.whereGroupStands())
	}
	if text := whereItStands(s, err); text != "" {
		complain(text)
	}
	complain("Next: " + a.next(err, code, s))
	return code
}

// what happened. The dry run has just told its blockers: their names will do.
func (a *app) what(err error) string {
	var blocked *upgrade.Blocked
	var several *group.Error
	if a.command == "plan" && errors.As(err, &several) {
		var all []string
		for _, m := range several.Members {
			all = append(all, m.Name+": "+a.what(m.Err))
		}
		return strings.Join(all, "\n")
	}
	if a.command != "plan" || !errors.As(err, &blocked) {
		return pg.CauseFirst(err)
	}
	var names []string
	count := 0
	for _, f := range blocked.Plan.Findings {
		if f.Level == plans.Blocker {
			count++
			names = append(names, fmt.Sprintf("%s (%s)", f.Code, f.Object))
		}
	}
	return fmt.Sprintf("the plan cannot run yet: %s: %s", human.Plural(count, "blocker"), strings.Join(slices.Compact(names), ", "))
}

// standing asks the control schema, briefly: the error may be that the server is
// away. Nil: not known.
func (a *app) standing(code int) *upgrade.Status {
	if a.file == nil || a.file.Grouped() || code == exitUsage {
		return nil
	}
	return upgrade.ReadStanding(context.Background(), a.file, 3*time.Second)
}

func whereItStands(s *upgrade.Status, cause error) string {
	switch {
	case s == nil:
		return ""
	case s.Phase == nil:
		return fmt.Sprintf("Run %s has not begun; nothing was changed.", s.Run)
	}
	text := fmt.Sprintf("Run %s is in phase %s.", s.Run, strings.ReplaceAll(string(*s.Phase), "_", " "))
	if oldServerAway(s, cause) {
		text += " Production is on the new server, which answers; this command needs the old one, which does not."
	}
	if s.Failure != "" && !strings.Contains(cause.Error(), s.Failure) {
		text += " It stopped: " + s.Failure
	}
	return text
}

// oldServerAway: the run is swapped, and what failed is that its old server cannot be
// asked any more.
func oldServerAway(s *upgrade.Status, cause error) bool {
	return s != nil && s.Away != "" && s.Phase != nil && s.Phase.Swapped() &&
		(pg.Unreachable(cause) || pg.State(cause) == pgerrcode.InvalidCatalogName)
}

// exists: what cannot be looked at for another reason may well be there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// planFlag is what names the plan file in a command to type.
func (a *app) planFlag() string {
	if a.planPath == "" || a.planPath == "pgumbra.yaml" {
		return ""
	}
	return " -p " + a.planPath
}

// next is what to type, of what fits where the run stands.
func (a *app) next(err error, code int, s *upgrade.Status) string {
	p := a.planFlag()
	var different *upgrade.Different
	var noWay *upgrade.NoWayBack
	var choose *chooseError
	var notNow *upgrade.NotNow
	if errors.As(err, &choose) {
		return choose.next(p)
	}
	if text := a.nextOfGroupError(err); text != "" {
		return text
	}
	switch {
	case a.command == "rehearse":
		return afterRehearsal(p, code, err)
	case a.command == "plan" && code == exitInterrupted:
		return "pgumbra plan" + p + " again; it changes nothing, and keeps nothing"
	case a.command == "demo" && code == exitInterrupted:
		return "pgumbra demo again; nothing is left of this one"
	case errors.As(err, &noWay):
		return withPlan(noWay.Next, p)
	case oldServerAway(s, err) && *s.Phase == control.Watching:
		return "pgumbra " + a.command + p + " again, once the old server answers; if it is gone for good, pgumbra finish" + p + " ends the watch"
	case oldServerAway(s, err):
		return "pgumbra " + a.command + p + " again, once the old server answers; the run is over, and pgumbra status" + p + " shows it"
	case errors.Is(err, shadow.ErrTriggersFire):
		return "have a superuser type that GRANT, then pgumbra " + a.command + p + " again"
	case keptOut(err):
		return a.nextOfKeptOut()
	case errors.Is(err, upgrade.ErrClosed):
		return "pgumbra finish" + p + ": the old side cannot be kept current any more"
	case code == exitNotNow && errors.As(err, &notNow) && notNow.AcceptLoss: // it does not go away by itself
		return "pgumbra verify" + p + " shows it; pgumbra rollback" + p + " --accept-loss goes back without it"
	case code == exitNotNow && a.command == "rollback":
		return "pgumbra rollback" + p + ", when what stood in the way is gone; pgumbra status" + p + " shows it"
	case errors.As(err, &different) && s != nil && s.Phase != nil && s.Phase.Swapped():
		return "keep this output: the old side differs, and going back would lose that; pgumbra finish" + p + " ends the watch"
	case errors.Is(err, errDeclined):
		return "pgumbra finish" + p + " keeps the old side; pgumbra status" + p + " shows where the run stands"
	case code == exitUsage, a.command == "init":
		return a.nextOfUsage(err)
	}
	return a.nextByCode(err, code, s)
}

// nextOfUsage is what to type where the command, its files or its keys are wrong.
func (a *app) nextOfUsage(err error) string {
	switch {
	case errors.As(err, new(*usageError)):
		return a.helpCommand()
	case a.command == "init": // there is no plan file yet, of which another command would tell
		return "correct what is said above, then pgumbra init again"
	case a.file == nil && !exists(a.planPath):
		return "pgumbra init writes a plan file; --plan FILE names one"
	}
	return "correct the plan file or the migrations folder, then run the same command again"
}

// typed is a command within a text that does not know the plan file's name.
var typed = regexp.MustCompile(`\bpgumbra (run|rollback|finish|abort|status|plan|verify|cutover)\b`)

// withPlan names the plan file in each of them.
func withPlan(text, flag string) string {
	if flag == "" {
		return text
	}
	return typed.ReplaceAllString(text, "${0}"+strings.ReplaceAll(flag, "$", "$$"))
}

// helpCommand shows how the command is typed.
func (a *app) helpCommand() string {
	if a.command == "" || a.command == "pgumbra" {
		return "pgumbra --help"
	}
	return "pgumbra " + a.command + " --help"
}

// nextOfKeptOut names the role whose the control schema is. To be let in is not enough: a
// run's shadow and triggers are that role's, too.
func (a *app) nextOfKeptOut() string {
	owner := "the role that made schema " + control.Schema
	if a.file != nil && !a.file.Grouped() {
		if name := upgrade.ControlOwner(context.Background(), a.file, 3*time.Second); name != "" {
			owner = "role " + name + ", which made schema " + control.Schema
		}
	}
	return "let production.dsn name " + owner + ", or one that it was granted to: docs/privileges.md"
}

// nextByCode is what most errors of an exit code have in common.
func (a *app) nextByCode(err error, code int, s *upgrade.Status) string {
	p := a.planFlag()
	var different *upgrade.Different
	switch {
	case errors.As(err, &different):
		return "keep this output, then pgumbra abort" + p + ": a shadow that differs must not be swapped in"
	case code == exitFindings && a.command == "plan":
		return "do what the blockers say, then pgumbra plan" + p + " again"
	case code == exitFindings:
		return "pgumbra plan" + p + ", and do what the findings say"
	case code == exitLed && s != nil && s.Phase != nil && *s.Phase == control.Aborted:
		return "pgumbra run" + p + " begins another one: somebody has aborted this one"
	case code == exitLed:
		return "pgumbra status" + p + ", or stop the other process first"
	case code == exitUnknown:
		return "pgumbra status" + p + ", once the server answers; docs/what-if.md says what to look at"
	case code == exitNotNow:
		return "pgumbra cutover" + p + ", when what stood in the way is gone"
	case code == exitInterrupted && a.command != "run" && s != nil && s.Leader != nil:
		return fmt.Sprintf("pgumbra status%s; the run goes on, led by pid %d on %s", p, s.Leader.PID, s.Leader.Host)
	case code == exitInterrupted:
		return afterInterrupt(p, s)
	case errors.Is(err, upgrade.ErrWrongPhase) && s != nil && s.Phase != nil && a.command == "rollback" && !s.Phase.Swapped() && !s.Phase.Over():
		return "pgumbra abort" + p + undoes(s, "the run") + "; pgumbra status" + p + " shows where it stands"
	case errors.Is(err, upgrade.ErrWrongPhase) && s != nil && s.Phase != nil:
		return a.nextOf(s)
	case errors.Is(err, control.ErrNoRun) && s != nil && s.PlanningSince != nil:
		return "pgumbra status" + p + ": a process plans the run, and begins it then"
	}
	return a.nextByCause(err)
}

// nextByCause is for errors that have the exit code of all others.
func (a *app) nextByCause(err error) string {
	p := a.planFlag()
	switch {
	case errors.Is(err, control.ErrNewer), errors.Is(err, plans.ErrNewer):
		return "the same command with the newer program: pgumbra version shows which this one is"
	case errors.Is(err, control.ErrOlderLeader):
		return "stop that process, which keeps its state, and start pgumbra run" + p + " with this program; then the same command again"
	case errors.Is(err, upgrade.ErrStopped), errors.Is(err, control.ErrOrigin), errors.Is(err, control.ErrShadowLost):
		return "pgumbra abort" + p + ", then pgumbra run" + p + " begins anew"
	case errors.Is(err, pg.ErrRowTooLarge):
		return "pgumbra abort" + p + "; divide the row's values among several rows, or say skip: true of its table, then pgumbra run" + p
	case errors.Is(err, control.ErrNoRun):
		return "pgumbra plan" + p + ", then pgumbra run" + p
	case errors.Is(err, upgrade.ErrWrongPhase):
		return "pgumbra status" + p
	case errors.Is(err, upgrade.ErrProductionAway):
		return "pgumbra abort" + p + " again, should production come back"
	case errors.Is(err, lease.ErrNotPrimary):
		return "the same command, once it is promoted or production.dsn leads to the primary"
	case pg.State(err) == pgerrcode.AdminShutdown:
		return "pgumbra status" + p + ": the server was stopped, or somebody ended this process's session, as pgumbra abort does"
	case pg.Unreachable(err), refusedConnection(err):
		return a.nextOfUnreachable(err)
	}
	return "correct what is said above, then run the same command again; pgumbra status" + p + " shows where the run stands"
}

// afterRehearsal: nothing is left of one, whatever became of it.
func afterRehearsal(p string, code int, err error) string {
	var noServer *rehearsal.NoServerError
	again := "pgumbra rehearse" + p + " again"
	switch {
	case errors.As(err, &noServer):
		return "install a server, then " + again
	case code == exitUsage:
		return "correct what is said above (pgumbra rehearse --help), then " + again
	case code == exitInterrupted:
		return again + "; nothing is left of this one"
	}
	return "correct what is said above, then " + again
}

// afterInterrupt: what was stopped goes on, and what can be undone depends on how
// far it had come.
func afterInterrupt(p string, s *upgrade.Status) string {
	goesOn := "pgumbra run" + p + " goes on from here"
	switch {
	case s == nil:
		return goesOn
	case s.Phase == nil:
		return "pgumbra run" + p + " begins it; there is nothing to undo"
	case s.Phase.Over():
		return "pgumbra status" + p
	case s.Phase.Swapped():
		return goesOn + "; pgumbra finish" + p + " ends the watch"
	case *s.Phase == control.Building:
		return goesOn + "; pgumbra abort" + p + undoes(s, "it")
	}
	return goesOn + "; pgumbra abort" + p + undoes(s, "it") + ". Until then the triggers stay, and each write costs a little more"
}
