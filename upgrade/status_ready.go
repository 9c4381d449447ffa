package upgrade

import (
	"fmt"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/replay"
)

// classify says whether a cutover would be tried now, and when the run will be
// there.
func (s *Status) classify(run *control.Run) {
	if run.Phase != control.Following && run.Phase != control.Cutover {
		return
	}
	s.Blockers = append(s.Blockers, s.notYet(run)...)
	if text := s.trialBlocker(run); text != "" && (s.Trial != nil || len(s.Blockers) == 0) {
		s.Blockers = append(s.Blockers, text)
		s.TrialTooLong = s.Trial != nil && s.Trial.Failed == ""
	}
	s.Blockers = append(s.Blockers, s.lags(run)...)
	if s.Throttled == shadowAway {
		s.Blockers = append(s.Blockers, shadowAway)
	}
	if s.Failure != "" {
		s.Blockers = append(s.Blockers, s.Failure)
	}
	s.Ready = len(s.Blockers) == 0
	s.ETASeconds = replay.ETA(s.Journal.Pending, s.Rate.In, s.Rate.Out)
}

// trialBlocker is what the trial says against a cutover, or that it is under way.
func (s *Status) trialBlocker(run *control.Run) string {
	if s.Trial == nil && s.TryingSince != nil && s.AsOf != nil {
		return "the migrations behind the fence are tried on the shadow, since " + human.Took(float64(s.AsOf.Sub(*s.TryingSince).Milliseconds()))
	}
	return trialBlocker(run, s.Trial)
}

// notYet is what the tables still lack of what [cutover.AgainstTable] asks, a line a
// state: of one table alone its name, of several how many.
func (s *Status) notYet(run *control.Run) (against []string) {
	states := map[string][]string{}
	var unproved []string
	var compared, rows int64
	for _, t := range s.Tables {
		switch {
		case t.State != string(control.FollowingState):
			states[t.State] = append(states[t.State], t.Name())
		case t.VerifiedAt != nil || !run.Plan.Verifiable(t.Shadow):
			against = append(against, t.stale...)
		case s.doubts[t.Shadow] != "":
			against = append(against, t.Name()+" is not verified"+s.doubts[t.Shadow])
		default:
			unproved = append(unproved, t.Name())
			compared, rows = compared+t.RowsVerified, rows+max(t.RowsTotal, t.RowsVerified)
		}
	}
	for _, state := range []struct {
		control.State
		says string
	}{{control.Waiting, "waiting for the copy"}, {control.CopyingRow, "being copied"}, {control.Keying, "getting the index of the key"},
		{control.CatchingUp, "catching up"}, {control.Indexing, "getting indexes"}} {
		if names := states[string(state.State)]; len(names) > 0 {
			against = append(against, several(names)+" "+state.says)
		}
	}
	if len(unproved) > 0 {
		against = append(against, fmt.Sprintf("%s not verified yet: %s of about %s rows compared", several(unproved), human.Count(compared), human.Count(rows)))
	}
	return against
}

func several(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return fmt.Sprintf("%d tables are", len(names))
}

// lags says that more waits to be replayed than an attempt would drain, as [cutover.Cutover.Check]
// does; what else that looks at, pgumbra cutover --check asks.
func (s *Status) lags(run *control.Run) []string {
	settings := run.Plan.Settings.Cutover
	drain, late := cutover.Lags(s.Journal.Pending, s.Rate.Out, settings)
	switch {
	case !late:
		return nil
	case s.Leader == nil:
		return []string{fmt.Sprintf("no process leads the run, and %s changes wait to be replayed", human.Count(s.Journal.Pending))}
	}
	return []string{fmt.Sprintf("%s changes wait to be replayed; draining them would take about %s, cutover.max_stall is %s",
		human.Count(s.Journal.Pending), human.Took(float64(drain.Milliseconds())), human.Duration(settings.MaxStall))}
}
