package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans"
)

type fact struct{ Name, Value, Note string }

// stall is how long writers wait in the cutover.
func stall(p *plans.Plan) string {
	allowed := p.Settings.Cutover.MaxStall
	longest := human.Duration(p.Settings.Cutover.Longest())
	limit := "at most " + longest
	low, high := guessedStall(p.Estimates)
	if p.Behind != nil {
		return stallBehind(low, high, p.Behind, allowed, longest)
	}
	if low > 0 && low < allowed {
		return "about " + between(low, min(high, allowed)) + ", " + limit
	}
	return limit
}

// between is a guess: a range, or where both are one a time.
func between(low, high time.Duration) string {
	low, high = roundStall(low), roundStall(high)
	from, to := human.Duration(low), human.Duration(high)
	if from == to {
		return from
	}
	if number, unit, _ := strings.Cut(from, " "); strings.HasSuffix(to, " "+unit) {
		from = number
	}
	return from + " to " + to
}

// stallBehind: of migrations that run for real nothing but the sizes of their tables is
// known, until their trial.
func stallBehind(low, high time.Duration, b *plans.Behind, allowed time.Duration, longest string) string {
	behind, what := time.Duration(b.EstimateMS)*time.Millisecond, "migrations behind the fence"
	if len(b.Files) == 0 {
		what = human.Plural(len(b.AtSwap), "statement") + " at the swap"
	}
	text := fmt.Sprintf("about %s (%s of it %s)", between(low+behind, high+behind), human.Duration(roundStall(behind)), what)
	if low+behind >= allowed {
		return text + ", more than the " + human.Duration(allowed) + " that cutover.max_stall allows"
	}
	return text + ", at most " + longest
}

// behindFiles are the migrations behind the fence, and whether it is known what they
// change.
func behindFiles(b *behind) string {
	text := "behind the fence: " + strings.Join(b.Files, ", ")
	if b.Unseen != "" {
		text += ". What they change is not known before their trial: " + b.Unseen
	}
	return text
}

// atSwapText are the statements that run in the swap by themselves, by their places.
func atSwapText(all []atSwap) string {
	var places []string
	for _, s := range all {
		verb := plans.AtSwap{SQL: s.SQL}.Verb()
		places = append(places, fmt.Sprintf("%s %s:%d %s %s", verb, s.File, s.Line, map[bool]string{true: "into", false: "of"}[verb == "INSERT"], s.Table))
	}
	return "at the swap: " + strings.Join(places, ", ")
}

// guessedStall is without what runs behind the fence. A plan of an older program has one
// number.
func guessedStall(e plans.Estimates) (low, high time.Duration) {
	low = time.Duration(e.StallMS * float64(time.Millisecond))
	return low, max(low, time.Duration(e.StallMaxMS*float64(time.Millisecond)))
}

// roundStall: a guess is worth two digits.
func roundStall(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return max(d.Round(10*time.Millisecond), 10*time.Millisecond)
}

func facts(p *plans.Plan, v view) []fact {
	e := v.Estimates
	ready := timeToReady(e)
	free := "free space is not known from here"
	if e.FreeDisk != nil {
		free = human.Bytes(*e.FreeDisk) + " are free"
	}
	return []fact{
		ready,
		{"Writers wait", stall(p), fmt.Sprintf("an attempt, up to %d attempts; %s locks; %s", p.Settings.Cutover.Attempts, human.Count(int64(e.Locks)), measuredStall(e))},
		{"Disk", human.Bytes(e.ShadowBytes), "and " + human.Bytes(e.WALBytes) + " of WAL; " + free},
		wayBack(p),
		whoActs(v),
	}
}

// timeToReady rests on the last run of the database where there was one, else on a
// sample of the copy.
func timeToReady(e plans.Estimates) fact {
	switch m := e.Measured; {
	case m != nil:
		return fact{"Time to ready", about(m.ReadySecondsFor(e.Rows)), fmt.Sprintf("at the speed of run %s, which took %s for %s rows",
			m.Run, human.Seconds(m.ReadySeconds), human.Count(m.Rows))}
	case e.SampleRate == 0:
		return fact{"Time to ready", "not measured", "there was nothing to sample"}
	}
	return fact{"Time to ready", about(e.CopySeconds), "copy and indexes by a sample; catching up and the proof come on top"}
}

// measuredStall is what the last run's cutover took; empty: nobody knows yet.
func measuredStall(e plans.Estimates) string {
	switch m := e.Measured; {
	case m != nil && m.StallMS > 0:
		return fmt.Sprintf("run %s took %.0f ms with %s locks", m.Run, m.StallMS, human.Count(int64(m.Locks)))
	case e.StallMS > 0:
		return "by the number of objects, if no lock is waited for; its trial says more once the run follows"
	}
	return "its trial says what the swap takes once the run follows"
}

// estimatedStall is the guess and what it rests on, part by part.
func estimatedStall(p *plans.Plan, e plans.Estimates) string {
	rests := measuredStall(e)
	if e.Busy != "" {
		rests += "; up to four times as long on a server as busy as this one (" + e.Busy + ")"
	} else if e.StallMaxMS > e.StallMS {
		rests += "; up to four times as long on a busy server"
	}
	low, high := guessedStall(e)
	b := p.Behind
	switch {
	case b == nil && low == 0:
		return rests
	case b == nil:
		return "about " + between(low, high) + ": " + rests
	}
	behind, what := time.Duration(b.EstimateMS)*time.Millisecond, "the migrations behind the fence"
	if len(b.Files) == 0 {
		what = "the INSERTs at the swap"
	}
	return fmt.Sprintf("about %s: %s for the swap (%s), %s for %s (a rough guess by the sizes of their tables; their trial, once the run follows, measures it)",
		between(low+behind, high+behind), between(low, high), rests, human.Duration(roundStall(behind)), what)
}

func about(seconds float64) string {
	if seconds < 1 {
		return human.Seconds(seconds)
	}
	return "about " + human.Seconds(seconds)
}

func wayBack(p *plans.Plan) fact {
	f := fact{"Way back", "free until the cutover", "pgumbra abort; after it the old tables stay until pgumbra finish --drop-old"}
	if p.Reversible() {
		f.Note += ", and what is written is recorded for them"
	}
	return f
}

func whoActs(v view) fact {
	f := fact{"Who must act", "nobody", "no finding asks for anything"}
	var who []string
	if n := v.count(plans.Blocker); n > 0 {
		who = append(who, fmt.Sprintf("whoever upgrades: %s", human.Plural(n, "blocker")))
	}
	points := 0
	for _, g := range v.Clients {
		if g.Level != plans.Info {
			points += len(g.Objects)
		}
	}
	if points > 0 {
		who = append(who, fmt.Sprintf("the application's team: %s", human.Plural(points, "point")))
	}
	if len(who) > 0 {
		f.Value, f.Note = strings.Join(who, "; "), "below, each with what to do"
	}
	return f
}

// always is what clients notice of any cutover.
func always(p *plans.Plan) []string {
	readers := "Readers do not wait."
	if slices.ContainsFunc(p.Schemas, func(s plans.Schema) bool { return s.Swap == plans.Move }) && !p.Remote {
		readers = "Readers wait as well: objects are moved one by one, behind ACCESS EXCLUSIVE locks."
	}
	all := []string{
		fmt.Sprintf("Writers wait %s in an attempt at the cutover, then go on by themselves. %s", stall(p), readers),
		"REPEATABLE READ and SERIALIZABLE transactions that span the cutover fail with 40001 and have to be repeated.",
	}
	if p.Remote {
		all = append(all, "Sessions that do not come by way of the pool stay with the old server, which refuses their writes.")
	}
	return all
}

func estimated(p *plans.Plan, e plans.Estimates) []fact {
	free := "not known from here"
	if e.FreeDisk != nil {
		free = human.Bytes(*e.FreeDisk)
	}
	rate := "not measured"
	if e.SampleRate > 0 {
		rate = human.Bytes(int64(e.SampleRate)) + "/s read and transformed by one worker"
	}
	ready := timeToReady(e)
	return []fact{
		{Name: "time to ready", Value: ready.Value + ": " + ready.Note},
		{Name: "stall", Value: estimatedStall(p, e)},
		{Name: "rows to copy", Value: human.Count(e.Rows)},
		{Name: "data to copy", Value: human.Bytes(e.Bytes)},
		{Name: "shadow with indexes", Value: human.Bytes(e.ShadowBytes)},
		{Name: "WAL written", Value: human.Bytes(e.WALBytes)},
		{Name: "free disk", Value: free},
		{Name: "sample", Value: rate},
		{Name: "copy and indexes", Value: human.Seconds(e.CopySeconds)},
		{Name: "locks of the swap", Value: fmt.Sprintf("%s of %s", human.Count(int64(e.Locks)), human.Count(int64(e.LocksCapacity)))},
	}
}
