package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/upgrade"
)

const (
	// bars are redrawn this often on a terminal, a line is written this often
	// elsewhere
	redraw   = time.Second
	lineTime = 10 * time.Second
	// An ETA means nothing before this much was seen of the rate.
	measuring = 5 * time.Second
	// as many tables have a bar of their own; the rest is in the overall one
	tableBars = 8
)

// A place is where progress goes.
type place int

const (
	// beside the result, on stderr
	beside place = iota
	// within the result: with --json an object a line on stdout
	within
)

// withProgress runs f and shows meanwhile where the run stands, as status
// reads it, so that what is shown is what is recorded.
func (a *app) withProgress(ctx context.Context, file *planfile.File, to place, f func() error) error {
	group, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	group.Go(func() error {
		defer close(done)
		return f()
	})
	group.Go(func() error {
		a.show(ctx, file, to, done)
		return nil
	})
	return group.Wait()
}

// show polls until done. A server that does not answer is not its problem: the
// work says so.
func (a *app) show(ctx context.Context, file *planfile.File, to place, done <-chan struct{}) {
	bars := term.IsTerminal(int(os.Stderr.Fd())) && !a.json && !file.Grouped()
	objects := a.json && to == within
	every := lineTime
	if bars || objects {
		every = redraw
	}
	displays := map[*planfile.File]*progress{}
	for _, f := range databases(file) {
		displays[f] = &progress{screen: a.screen, app: a}
	}
	defer a.screen.show(nil)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, f := range databases(file) {
				s, err := upgrade.ReadStatus(ctx, f)
				if err != nil || s.Phase == nil || s.Phase.Over() && !objects { // of an earlier run
					continue
				}
				switch {
				case objects:
					_ = json.NewEncoder(os.Stdout).Encode(s)
				case bars:
					displays[f].draw(s, now)
				default:
					a.log.Info(displays[f].line(s, now)) //nolint:sloglint // what is under way, with the time as other lines have it
				}
			}
		}
	}
}

// called is a run's name, and of a group's the database's.
func called(s *upgrade.Status) string {
	if s.Member == "" {
		return s.Run
	}
	return s.Run + ", " + s.Member
}

// progress remembers what an ETA needs: when a stage was first seen, and how far it
// was then.
type progress struct {
	screen *screen
	app    *app
	stage  string
	since  time.Time
	first  float64
}

// eta is how long the stage will take yet, at the speed seen so far.
func (p *progress) eta(w *upgrade.Work, now time.Time) string {
	if p.stage != w.Stage {
		p.stage, p.since, p.first = w.Stage, now, w.Fraction
	}
	seen := now.Sub(p.since)
	if seen < measuring || w.Fraction <= p.first {
		return "measuring how long it takes"
	}
	left := seen.Seconds() * (1 - w.Fraction) / (w.Fraction - p.first)
	return "about " + human.Seconds(max(left, 1)) + " left"
}

// speed is rows a second of a copy, once it can be told.
func (p *progress) speed(s *upgrade.Status, now time.Time) string {
	seen := now.Sub(p.since)
	if s.Work.Stage != upgrade.StageCopying || seen < measuring || s.Work.Fraction <= p.first {
		return ""
	}
	var total int64
	for _, t := range s.Tables {
		total += max(t.RowsTotal, t.RowsCopied)
	}
	return fmt.Sprintf(" · %s rows/s", human.Count(int64((s.Work.Fraction-p.first)*float64(total)/seen.Seconds())))
}

// line is the whole state in one line.
func (p *progress) line(s *upgrade.Status, now time.Time) string {
	parts := []string{called(s) + ": " + strings.ReplaceAll(string(*s.Phase), "_", " ")}
	if w := s.Work; w != nil {
		eta := p.eta(w, now)
		text := fmt.Sprintf("%s %d of %d", w.Stage, w.Done, w.Of)
		if w.Stage == string(*s.Phase) {
			parts[0], text = called(s)+": "+text, ""
		}
		parts = append(parts, text, fmt.Sprintf("%.0f %%", 100*w.Fraction)+p.speed(s, now), eta)
		parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
	}
	switch *s.Phase {
	case control.Watching:
		parts = append(parts, "the old side is kept current", human.Plural(s.Journal.Pending, "change")+" pending")
		if len(s.Refused) > 0 {
			parts = append(parts, "it refuses a row of "+s.Refused[0].Table+": "+s.Refused[0].Why)
		}
	case control.Following, control.Cutover:
		if s.Journal.Pending > 0 || s.Work == nil {
			parts = append(parts, human.Plural(s.Journal.Pending, "change")+" pending")
		}
		if s.TryingSince != nil && s.AsOf != nil {
			parts = append(parts, "trying the migrations behind the fence for "+spent(s.AsOf.Sub(*s.TryingSince)))
		}
		if s.Ready && len(s.Waits) == 0 {
			parts = append(parts, "ready")
		}
	}
	if len(s.Waits) > 0 {
		parts = append(parts, "waiting for a lock in production")
	}
	if s.Throttled != "" {
		parts = append(parts, "paused: "+s.Throttled)
	}
	return human.OneLine(strings.Join(parts, " · "))
}

// draw shows the state, bars of what is under way, and what to do, in place of the
// last ones.
func (p *progress) draw(s *upgrade.Status, now time.Time) {
	width := max(widthOf(p.screen.file), 20) - 1
	lines := strings.Split(human.Fold(p.line(s, now), width), "\n")
	if s.Work != nil {
		lines = append(lines, p.bars(s.Work, width)...)
	}
	for _, line := range p.hints(s) {
		lines = append(lines, strings.Split(human.Fold(line, width), "\n")...)
	}
	p.screen.show(lines)
}

// hints say what the operator can do now, and what stands in his way.
func (p *progress) hints(s *upgrade.Status) []string {
	flag := p.app.planFlag()
	switch {
	case *s.Phase != control.Following || s.Work != nil:
		return nil
	case s.Attempts.Last != "":
		return []string{fmt.Sprintf("attempt %d of %d; last: %s", s.Attempts.Tried, s.Attempts.Of, human.OneLine(s.Attempts.Last))}
	case s.Ready && p.app.ends: // it goes through the cutover by itself, or ends before it
		return nil
	case s.Ready:
		does := "the process that leads"
		if s.Leader.Self() {
			does = "this process"
		}
		return []string{"Next: pgumbra cutover" + flag + ", here or on another terminal; " + does + " does it"}
	case len(s.Blockers) > 0 && s.TryingSince == nil:
		lines := []string{"not ready: " + human.OneLine(s.Blockers[0])}
		if s.TrialTooLong {
			lines = append(lines, "Next: "+p.app.nextOf(s))
		}
		return lines
	}
	return nil
}

func (p *progress) bars(w *upgrade.Work, width int) []string {
	lines := []string{bar(w.Stage, w.Fraction, width)}
	for _, item := range w.Now {
		if len(lines) > tableBars {
			break
		}
		if item.Fraction != nil {
			lines = append(lines, bar("  "+item.Name, *item.Fraction, width))
		}
	}
	return lines
}

// bar is a name and how far it is, as wide as the terminal. A name that is too long
// loses its middle: indexes of one table begin, and tables end, alike.
func bar(name string, done float64, width int) string {
	label := min(max(width/2, 16), 44)
	if r := []rune(name); len(r) > label {
		name = string(r[:label/2]) + "…" + string(r[len(r)-(label-label/2-1):])
	}
	b := progressbar.NewOptions(1000,
		progressbar.OptionSetWriter(io.Discard),
		progressbar.OptionSetWidth(max(width-label-9, 5)),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetDescription(fmt.Sprintf("%-*s", label, name)))
	if n := int(min(max(done, 0), 1) * 1000); n > 0 {
		_ = b.Set(n)
	} else {
		_ = b.RenderBlank() // Set draws nothing of nothing
	}
	return strings.TrimRight(strings.Trim(b.String(), "\r"), " ")
}
