package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
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
	bars := term.IsTerminal(int(os.Stderr.Fd())) && !a.json
	objects := a.json && to == within
	every := lineTime
	if bars || objects {
		every = redraw
	}
	display := &progress{screen: a.screen}
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
			s, err := upgrade.ReadStatus(ctx, file)
			if err != nil || s.Phase == nil {
				continue
			}
			switch {
			case objects:
				_ = json.NewEncoder(os.Stdout).Encode(s)
			case bars:
				display.draw(s, now)
			default:
				fmt.Fprintln(a.screen, display.line(s, now))
			}
		}
	}
}

// progress remembers what a rate needs: when copying was first seen, and with
// how many rows.
type progress struct {
	screen *screen
	since  time.Time
	first  int64
}

// eta is how long the copy will take at the rate seen so far.
func (p *progress) eta(s *upgrade.Status, now time.Time) (rate float64, eta string) {
	copied, total := copiedRows(s)
	if p.since.IsZero() {
		p.since, p.first = now, copied
	}
	seen := now.Sub(p.since)
	if seen < measuring || copied <= p.first {
		return 0, "measuring"
	}
	rate = float64(copied-p.first) / seen.Seconds()
	left := time.Duration(float64(max(total-copied, 0))/rate) * time.Second
	return rate, left.Round(time.Second).String()
}

func copiedRows(s *upgrade.Status) (copied, total int64) {
	for _, t := range s.Tables {
		copied += t.RowsCopied
		total += max(t.RowsTotal, t.RowsCopied)
	}
	return copied, total
}

// line is the whole state in one line, for logs.
func (p *progress) line(s *upgrade.Status, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", s.Run, *s.Phase)
	switch *s.Phase {
	case control.Copying:
		copied, total := copiedRows(s)
		rate, eta := p.eta(s, now)
		fmt.Fprintf(&b, ", %s of about %s rows", human.Count(copied), human.Count(total))
		if rate > 0 {
			fmt.Fprintf(&b, ", %s/s", human.Count(int64(rate)))
		}
		fmt.Fprintf(&b, ", ETA %s", eta)
	case control.Watching:
		fmt.Fprintf(&b, ", the old side is kept current, %s changes pending", human.Count(s.Journal.Pending))
		if len(s.Refused) > 0 {
			fmt.Fprintf(&b, "; it refuses a row of %s: %s", s.Refused[0].Table, human.OneLine(s.Refused[0].Why))
		}
	case control.Following, control.Cutover:
		fmt.Fprintf(&b, ", %s, %s changes pending", tableStates(s), human.Count(s.Journal.Pending))
		if s.Ready {
			b.WriteString(", ready")
		}
	}
	if s.Throttled != "" {
		fmt.Fprintf(&b, ", paused: %s", s.Throttled)
	}
	return b.String()
}

// tableStates counts tables by state, the furthest last.
func tableStates(s *upgrade.Status) string {
	counts := map[string]int{}
	for _, t := range s.Tables {
		counts[t.State]++
	}
	var parts []string
	for _, state := range []control.State{control.Waiting, control.CopyingRow, control.Keying, control.CatchingUp, control.Indexing, control.InStep} {
		if n := counts[string(state)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ReplaceAll(string(state), "_", " ")))
		}
	}
	return strings.Join(parts, ", ")
}

// draw shows the bars in place of the last ones.
func (p *progress) draw(s *upgrade.Status, now time.Time) {
	lines := []string{p.line(s, now)}
	if *s.Phase == control.Copying {
		lines = append(lines, p.bars(s)...)
	}
	p.screen.show(lines)
}

func (p *progress) bars(s *upgrade.Status) []string {
	copied, total := copiedRows(s)
	lines := []string{bar("all tables", copied, total)}
	for _, t := range s.Tables {
		if t.State == string(control.CopyingRow) && len(lines) <= tableBars {
			lines = append(lines, bar(t.Production, t.RowsCopied, max(t.RowsTotal, t.RowsCopied)))
		}
	}
	return lines
}

func bar(name string, done, total int64) string {
	b := progressbar.NewOptions64(max(total, 1),
		progressbar.OptionSetWriter(io.Discard),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionShowCount(),
		progressbar.OptionSetDescription(fmt.Sprintf("  %-40s", name)))
	_ = b.Set64(min(done, max(total, 1)))
	return strings.TrimSpace(strings.Trim(b.String(), "\r"))
}
