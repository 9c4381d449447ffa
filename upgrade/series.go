package upgrade

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
)

// betweenSeries is how long `run --cutover` waits before it begins another
// series of attempts: the last one may have ended at once. Within a window each pause
// is longer than the one before, up to longestBetween.
const (
	betweenSeries  = 5 * time.Second
	longestBetween = 2 * time.Minute
)

// endIfLasting lets this attempt be the series' last where only a human can help.
func (w *worker) endIfLasting(against []cutover.Blocker) {
	if slices.ContainsFunc(against, func(b cutover.Blocker) bool { return b.Lasting }) {
		w.endSeries()
	}
}

// endIfChanging lets this attempt be the last where another one before it met a
// structure that changed while the fence stood, too: whoever makes and drops tables all
// the time is to stop first. One change alone, a partition that came, is taken in.
func (w *worker) endIfChanging(against []cutover.Blocker) {
	if !slices.ContainsFunc(against, func(b cutover.Blocker) bool { return b.Code == "structure-changed" }) {
		return
	}
	if w.swapping.changing++; w.swapping.changing > 1 {
		w.endSeries()
	}
}

func (w *worker) endSeries() { w.swapping.ended = true }

// because tells why nothing comes of a swap now.
func (w *worker) because(against ...cutover.Blocker) *NotNow {
	var all []string
	lasting, accept := 0, 0
	for _, b := range against {
		all = append(all, b.Reason())
		if b.Lasting {
			lasting++
		}
		if b.AcceptLoss {
			accept++
		}
	}
	n := &NotNow{Swapping: "cutover", Reason: strings.Join(all, "; "), AcceptLoss: accept > 0 && accept == lasting}
	if w.run.Plan.Backwards() || w.back {
		n.Swapping = "rollback"
	}
	return n
}

// notNow records why an attempt came to nothing and plans the next one, with a
// growing, jittered pause so that production works off what waited.
func (w *worker) notNow(ctx context.Context, against []cutover.Blocker, pause *backoff.ExponentialBackOff) error {
	s, why := &w.swapping, w.because(against...)
	s.tried++
	s.next = time.Now().Add(pause.NextBackOff())
	if err := w.sayNotNow(ctx, why, pause); err != nil {
		return err
	}
	if s.tried < max(w.run.Plan.Settings.Cutover.Attempts, 1) && !s.ended {
		return nil
	}
	again := w.newSwapping()
	again.said = s.said
	if w.unattended() { // goes on as it was: the next series is not asked for by anybody else
		again.pause, again.next = s.pause, later(s.next, time.Now().Add(betweenSeries))
	}
	w.swapping = again
	if err := control.Answered(ctx, w.sides.Record(), w.run, w.run.Phase); err != nil {
		return err
	}
	if w.once {
		return why
	}
	return nil
}

// sayNotNow tells and records why nothing came of it: of each attempt, since that
// took time from clients, and of looks, every few seconds, once until the reason is
// another one.
func (w *worker) sayNotNow(ctx context.Context, why *NotNow, pause *backoff.ExponentialBackOff) error {
	s := &w.swapping
	looked := pause == s.look
	if looked && why.Reason == s.said {
		return nil
	}
	s.said = ""
	if looked && !w.once && !w.asked {
		s.said = why.Reason
	}
	w.log.Warn(w.run.Plan.Swapping()+" not possible now", //nolint:sloglint // one of two
		"attempt", s.tried, "reason", why.Reason)
	held := float64(s.taken.Microseconds()) / 1000
	s.taken = 0
	return control.Event(ctx, w.sides.Record(), w.run, control.CutoverRefused,
		map[string]any{"reason": why.Reason, "attempt": s.tried, "held_ms": held, "accept_loss": why.AcceptLoss})
}

// Pauses between two attempts grow up to these. Who waits for a cutover by command
// has twenty attempts in a minute and a half; a run that nobody waits for gives
// production time. A mere look takes nothing from anybody.
const (
	longestLook    = 5 * time.Second
	longestAsked   = 5 * time.Second
	longestUnasked = 5 * time.Minute
)

// unattended: nobody waits for the cutover, so that attempts may take their time.
func (w *worker) unattended() bool { return w.cutover && !w.once && !w.asked && !w.closing }

func (w *worker) newSwapping() swapping {
	return swapping{cutover: w.newCutover(), pause: w.newPause(w.longestPause()), look: w.newPause(longestLook)}
}

func (w *worker) longestPause() time.Duration {
	if w.unattended() {
		return longestUnasked
	}
	return longestAsked
}

func (w *worker) newPause(longest time.Duration) *backoff.ExponentialBackOff {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = max(w.run.Plan.Settings.Cutover.MaxStall/4, 50*time.Millisecond)
	pause.MaxInterval = longest
	return pause
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
