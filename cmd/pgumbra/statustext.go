package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
)

// watchEvery is how often status --watch asks.
const watchEvery = 2 * time.Second

// watchStatus shows the status until the run is over or swapped. On a terminal each
// takes the place of the last one.
func (a *app) watchStatus(ctx context.Context, file *planfile.File) error {
	repaint := &screen{file: os.Stdout}
	for {
		s, err := upgrade.ReadStatus(ctx, file)
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			a.log.Warn("status could not be read; asking again", "error", pg.Redact(err.Error()))
		case a.json || !term.IsTerminal(int(os.Stdout.Fd())):
			err = a.printStatus(os.Stdout, s)
		default:
			width := widthOf(os.Stdout) - 1
			repaint.show(strings.Split(human.Fold(strings.TrimSuffix(a.statusText(s, width), "\n"), width), "\n"))
		}
		if err == nil && (s.Phase == nil && s.PlanningSince == nil || s.Phase != nil && s.Phase.Over()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchEvery):
		}
	}
}

func (a *app) printStatus(w io.Writer, s *upgrade.Status) error {
	if a.json {
		return json.NewEncoder(w).Encode(s)
	}
	return sayOn(w, strings.TrimSuffix(a.statusText(s, widthOfWriter(w)), "\n"))
}

// writeWork says what is under way, or why nothing is.
func writeWork(line func(label, format string, values ...any), s *upgrade.Status) {
	if s.Work != nil && s.Leader != nil {
		line("work", "%s", workText(s.Work))
	} else if s.Work != nil {
		line("work", "%s; it stands still without a leader", workText(s.Work))
	}
	for _, w := range s.Waits {
		line("waits", "for a lock that %s holds", w)
	}
	if s.Throttled != "" {
		line("paused", "%s", s.Throttled)
	} else if s.PausedAt != nil && s.Leader != nil && s.Copies() {
		line("paused", "by pgumbra pause, once the chunks under way are copied; pgumbra resume goes on")
	} else if s.PausedAt != nil && s.Copies() {
		line("paused", "by pgumbra pause: whichever process leads next copies nothing until pgumbra resume")
	} else if s.PausedAt != nil && s.Phase != nil && !s.Phase.Over() && !s.Phase.Swapped() {
		line("paused", "by pgumbra pause: a table that has to be copied again waits for pgumbra resume")
	}
	if s.Workers != nil && s.Copies() {
		line("workers", "%d, by pgumbra workers; pgumbra workers 0 takes copy.workers again", *s.Workers)
	}
}

// statusText is a thing a line, and what to type last. Width 0: any.
func (a *app) statusText(s *upgrade.Status, width int) string {
	if s.PlanningSince != nil {
		return fmt.Sprintf("A process has been planning run %s for %s: migrations run in scratch, and nothing of production is changed yet.\nNext: pgumbra status%s again",
			s.Run, human.Seconds(time.Since(*s.PlanningSince).Seconds()), a.planFlag())
	}
	if s.Phase == nil {
		return fmt.Sprintf("There is no run %s.\nNext: pgumbra plan%s", s.Run, a.planFlag())
	}
	var b strings.Builder
	line := func(label, format string, values ...any) {
		text := fmt.Sprintf("%-8s %s", label, human.OneLine(fmt.Sprintf(format, values...)))
		if width > 0 {
			text = human.FoldAt(text, width, 9)
		}
		fmt.Fprintln(&b, text)
	}
	line("run", "%s%s", called(s), begun(s))
	line("phase", "%s", phaseText(s))
	if !s.Phase.Over() {
		line("leader", "%s", leaderText(s))
	}
	writeStandbys(line, s)
	if s.Away != "" {
		line("away", "%s. If it is gone for good: pgumbra finish%s", s.Away, a.planFlag())
	}
	if s.Failure != "" {
		line("stopped", "%s", s.Failure)
	}
	writeWork(line, s)
	if !s.Phase.Over() {
		line("journal", "%s", journalText(s))
	}
	if s.Unled != nil {
		line("unled", "%s", unledText(s))
	}
	if s.ShadowBytes != nil {
		line("disk", "the shadow takes %s", human.Bytes(*s.ShadowBytes))
	}
	writeReadiness(line, s)
	switch { // the last one
	case isBack(s):
		line("back", "%s", rollbackText(s))
	case len(s.Cutover) > 0:
		line("cutover", "%s", cutoverText(s))
	}
	a.writeWayBack(line, s)
	if s.Left != nil {
		line("left", "%s", leftText(s))
	}
	writeTables(&b, s, width)
	fmt.Fprintf(&b, "\nNext: %s\n", a.nextOf(s))
	return b.String()
}

func begun(s *upgrade.Status) string {
	if s.StartedAt == nil {
		return ""
	}
	return ", begun " + s.StartedAt.Local().Format("2006-01-02 15:04:05 MST")
}

func phaseText(s *upgrade.Status) string {
	phase := strings.ReplaceAll(string(*s.Phase), "_", " ")
	switch {
	case s.Phase.Over() && s.EndedAt != nil && s.StartedAt != nil:
		return fmt.Sprintf("%s at %s, after %s", phase, s.EndedAt.Local().Format("2006-01-02 15:04:05 MST"), spent(s.EndedAt.Sub(*s.StartedAt)))
	case *s.Phase == control.Cutover && s.PhaseSince != nil && s.AsOf != nil:
		return fmt.Sprintf("cutover under way for %s", spent(s.AsOf.Sub(*s.PhaseSince)))
	case s.PhaseSince != nil && s.AsOf != nil:
		return fmt.Sprintf("%s for %s", phase, spent(s.AsOf.Sub(*s.PhaseSince)))
	}
	return phase
}

// workText is a stage, how far it is and what is under way.
func workText(w *upgrade.Work) string {
	text := fmt.Sprintf("%s %d of %d · %.0f %%", w.Stage, w.Done, w.Of, 100*w.Fraction)
	for i, item := range w.Now {
		if i == 3 {
			return text + fmt.Sprintf(" · and %d more", len(w.Now)-i)
		}
		text += " · " + item.Name
		if item.Fraction != nil {
			text += fmt.Sprintf(" %.0f %%", 100**item.Fraction)
		}
	}
	return text
}

// writeReadiness says whether a cutover would be tried now, and what attempts came
// to: what stands against it, a line each.
func writeReadiness(line func(label, format string, values ...any), s *upgrade.Status) {
	if s.Phase.Over() || s.Phase.Swapped() {
		return
	}
	switch {
	case s.Ready && s.Leader == nil:
		line("ready", "as far as is known without a process that leads; pgumbra cutover --check looks at the rest")
	case s.Ready:
		line("ready", "yes")
	case len(s.Blockers) > 0:
		line("ready", "no: %s", s.Blockers[0])
		for _, blocker := range s.Blockers[1:] {
			line("", "%s", blocker)
		}
	}
	switch {
	case s.TryingSince != nil && s.AsOf != nil:
		line("trial", "under way for %s: the migrations behind the fence run on the shadow, and are rolled back; replay waits meanwhile", spent(s.AsOf.Sub(*s.TryingSince)))
	case s.Trial != nil:
		line("trial", "%s", trialText(s.Trial))
	}
	if t := s.Attempts; t.Last != "" {
		line("attempts", "%d of %d; held clients for %s in all, of %s; last: %s", t.Tried, t.Of, human.Took(t.HeldMS), human.Took(t.MaxMS), t.Last)
	} else if t.Count > 0 {
		line("attempts", "%d; held clients for %s in all, of %s (cutover.max_total_stall)", t.Count, human.Took(t.HeldMS), human.Took(t.MaxMS))
	}
}

// nextOf is the command that fits where the run stands.
func (a *app) nextOf(s *upgrade.Status) string {
	p := a.planFlag()
	switch {
	case *s.Phase == control.RolledBack && !s.Tidied:
		return "pgumbra rollback" + p + " again: it did not come to the end of its tidying up"
	case *s.Phase == control.RolledBack && s.Left != nil && len(s.Left.Schemas) == 0:
		return "pgumbra run" + p + " begins another one"
	case *s.Phase == control.RolledBack:
		return "pgumbra finish" + p + " --drop-old drops the new side; pgumbra run" + p + " begins another one"
	case *s.Phase == control.Finished: // with nothing newer than production's version there is nothing to do
		return "the run is over; once there are new migrations, pgumbra run" + p + " begins another one"
	case s.Phase.Over():
		return "the run is over; pgumbra run" + p + " begins another one"
	case s.WayBack != nil && s.WayBack.Open && s.Leader == nil:
		return "pgumbra finish" + p + " ends the watch (--drop-old drops the old side); until then pgumbra run" + p + " keeps the old side current, and pgumbra rollback" + p + " goes back to it"
	case s.WayBack != nil && s.WayBack.Open:
		return "pgumbra finish" + p + " ends the watch (--drop-old drops the old side); pgumbra rollback" + p + " goes back to it"
	case s.Phase.Swapped():
		return "pgumbra finish" + p + " ends the watch (--drop-old drops the old side)"
	case *s.Phase == control.Cutover && s.Leader == nil:
		return "pgumbra run" + p + " looks what became of the cutover, and goes on"
	case *s.Phase == control.Cutover:
		return "wait: pgumbra status" + p + " --watch"
	case s.Ready:
		return "pgumbra cutover" + p
	case s.Failure != "":
		return "correct what stopped it, then pgumbra run" + p + "; pgumbra abort" + p + undoes(s, "it")
	case s.TrialTooLong:
		return a.afterTrial(s)
	case s.Leader == nil && s.PausedAt != nil && s.Copies():
		return "pgumbra resume" + p + ", then pgumbra run" + p + " goes on; pgumbra abort" + p + undoes(s, "it")
	case s.Leader == nil:
		return "pgumbra run" + p + " goes on; pgumbra abort" + p + undoes(s, "it")
	case s.PausedAt != nil && s.Copies():
		return "pgumbra resume" + p + "; pgumbra abort" + p + undoes(s, "the run")
	}
	return "wait: pgumbra status" + p + " --watch; pgumbra abort" + p + undoes(s, "it")
}

// undoes is what abort does before a swap; after a rollback production is as it was already.
func undoes(s *upgrade.Status, what string) string {
	if isBack(s) {
		return " drops the new side"
	}
	return " undoes " + what
}

// afterTrial is what to do about a swap that takes longer than it may.
func (a *app) afterTrial(s *upgrade.Status) string {
	p, stop := a.planFlag(), ""
	if s.Leader != nil {
		stop = "stop the process that leads, "
	}
	return "raise cutover.max_stall, if writers can wait that long: " + stop + "change the plan file, then pgumbra run" + p + "; pgumbra abort" + p + undoes(s, "the run")
}

// trialText says what the swap took when it was tried and rolled back.
func trialText(t *cutover.Trial) string {
	text := "the swap took " + human.Took(t.SwapMS)
	if len(t.Files) > 0 {
		text = "the migrations behind the fence took " + human.Took(t.TotalMS)
	}
	text += ", all rolled back"
	if t.Skipped != "" {
		text += "; not all could be tried: " + t.Skipped
	}
	return text
}

// journalText says how full the journals are, and who guards their limit.
func journalText(s *upgrade.Status) string {
	j := s.Journal
	text := fmt.Sprintf("%s pending; %s", human.Plural(j.Pending, "change"), human.Bytes(j.Bytes))
	if j.Limit > 0 {
		text += fmt.Sprintf(" of %s (%.0f %%)", human.Bytes(j.Limit), 100*float64(j.Bytes)/float64(j.Limit))
	}
	if j.Guard != "" {
		text += ", guarded by: " + j.Guard
	}
	if s.Leader != nil {
		text += fmt.Sprintf("; %.0f/s in, %.0f/s out", s.Rate.In, s.Rate.Out)
	}
	return text
}

func leaderText(s *upgrade.Status) string {
	if s.Leader == nil {
		return "none"
	}
	return fmt.Sprintf("pid %d on %s", s.Leader.PID, s.Leader.Host)
}

// unledText says what a run costs that nobody leads.
func unledText(s *upgrade.Status) string {
	u, since := s.Unled, ""
	if u.Since != nil {
		since = " since " + u.Since.Local().Format("2006-01-02 15:04:05 MST")
	}
	led, what := "run", "so far"
	if s.Phase != nil && s.Phase.Swapped() {
		led, what = "watch", "that the old side lacks so far"
	}
	return fmt.Sprintf("nobody leads the %s%s; %s on %s record each write, which costs it a little more: %s "+what,
		led, since, human.Plural(u.Triggers, "trigger"), human.Plural(u.Tables, "table"), human.Plural(int(u.Recorded), "change"))
}

// writeStandbys says who waits to lead, and what would keep it from that.
func writeStandbys(line func(label, format string, values ...any), s *upgrade.Status) {
	for _, by := range s.Standbys {
		ready := ""
		if by.Ready {
			ready = ", ready"
		}
		line("standby", "pid %d on %s%s", by.PID, by.Host, ready)
		for _, p := range by.Problems {
			line("", "%s", p)
		}
	}
}

// leftText is what stays of the side that is not production any more.
func leftText(s *upgrade.Status) string {
	if len(s.Left.Schemas) == 0 {
		return "nothing: the side that is not production any more is dropped"
	}
	side := "the old side, which refuses writes"
	if *s.Phase == control.RolledBack {
		side = "the new side, which refuses writes"
	}
	return fmt.Sprintf("%s: %s, %s", side, sideText(*s.Left), human.Bytes(s.Left.Bytes))
}

// writeTables shows what is of use in the phase. From the swap on what is replayed and
// compared is the way back.
func writeTables(w io.Writer, s *upgrade.Status, width int) {
	if len(s.Tables) == 0 {
		return
	}
	var c human.Columns
	switch {
	case *s.Phase == control.Finished:
		c.Heads = []string{"TABLE", "COPIED"}
	case s.Phase.Swapped() || *s.Phase == control.RolledBack:
		c.Heads = []string{"TABLE", "COPIED", "TAKEN BACK", "COMPARED"}
		c.Spare = []string{"COPIED", "TAKEN BACK"}
	case s.Phase.Over():
		c.Heads = []string{"TABLE", "COPIED", "REPLAYED", "VERIFIED"}
		c.Spare = []string{"REPLAYED", "COPIED"}
	default:
		c.Heads = []string{"TABLE", "STATE", "COPIED", "REPLAYED", "PENDING", "VERIFIED"}
		c.Spare = []string{"REPLAYED", "PENDING", "COPIED"}
		if *s.Phase != control.Following && *s.Phase != control.Cutover { // how far the copy is counts
			c.Spare = []string{"REPLAYED", "PENDING", "VERIFIED", "COPIED"}
		}
	}
	for _, r := range s.Tables {
		switch len(c.Heads) {
		case 2:
			c.Add(r.Name(), human.Count(r.RowsCopied))
		case 4:
			c.Add(r.Name(), human.Count(r.RowsCopied), human.Count(r.RowsReplayed), verifiedText(r))
		default:
			c.Add(r.Name(), strings.ReplaceAll(r.State, "_", " "), copiedText(r), human.Count(r.RowsReplayed), human.Count(r.Pending), verifiedText(r))
		}
	}
	c.Fit(width)
	fmt.Fprintln(w)
	_ = c.Write(w) // nobody to tell, as with Fprintln
}

func copiedText(r upgrade.TableStatus) string {
	if r.State != string(control.CopyingRow) && r.State != string(control.Waiting) || r.RowsTotal <= r.RowsCopied {
		return human.Count(r.RowsCopied)
	}
	return fmt.Sprintf("%s of %s (%.0f %%)", human.Count(r.RowsCopied), human.Count(r.RowsTotal), 100*float64(r.RowsCopied)/float64(r.RowsTotal))
}

// verifiedText is the moment at which every row was equal, or how far that is.
func verifiedText(r upgrade.TableStatus) string {
	switch {
	case r.VerifiedAt != nil:
		return r.VerifiedAt.Local().Format(time.TimeOnly)
	case r.RowsVerified > 0:
		return fmt.Sprintf("%.0f %%", 100*float64(r.RowsVerified)/float64(max(r.RowsTotal, r.RowsVerified)))
	}
	return "-"
}

func cutoverText(s *upgrade.Status) string {
	c, ok := readOutcome(s.Cutover)
	if !ok {
		return ""
	}
	text := ""
	if !c.At.IsZero() {
		text = "since " + c.At.Local().Format("2006-01-02 15:04:05 MST") + ", "
	}
	return text + fmt.Sprintf("%.1f ms stall (%.1f ms for the locks), attempt %d, %s drained", c.StallMS, c.LockWaitMS, c.Attempts, human.Plural(c.Drained, "change"))
}
