package upgrade

import (
	"errors"
	"fmt"

	"github.com/pgumbra/pgumbra/internal/control"
)

// ErrWrongPhase is of a command that does not fit where the run stands. Errors of the kind
// say what became of the run ([WrongPhase]); what to type follows from its status.
var ErrWrongPhase = errors.New("the command does not fit where the run stands")

type wrongPhase struct{ text string }

func (e *wrongPhase) Error() string        { return e.text }
func (e *wrongPhase) Is(target error) bool { return target == ErrWrongPhase }

// WrongPhase is an [ErrWrongPhase] in words: what became of the run, and what the
// command is for.
func WrongPhase(format string, args ...any) error {
	return &wrongPhase{fmt.Sprintf(format, args...)}
}

// notIn is a [WrongPhase] of a command that is for other phases than this one.
func notIn(p control.Phase, command string) error {
	return WrongPhase("%s: %s", became(p), command)
}

// became says what a run in this phase has come to.
func became(p control.Phase) string {
	switch p {
	case control.Building, control.Capturing, control.Copying:
		return "the run is " + string(p) + " still"
	case control.Following:
		return "the run follows production, and is not cut over yet"
	case control.Cutover:
		return "an attempt at the cutover is under way"
	case control.Watching:
		return "the cutover is done"
	case control.Finished:
		return "the run was cut over and is finished"
	case control.RolledBack:
		return "the run was cut over and rolled back"
	case control.Aborted:
		return "the run was aborted"
	}
	return "the run is in phase " + string(p)
}
