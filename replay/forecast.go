package replay

import (
	"math"
	"time"
)

// Outlook is whether following will ever catch up.
type Outlook string

// The outlooks.
const (
	Measuring  Outlook = "measuring"  // too early to say
	InStep     Outlook = "in step"    // nothing to speak of is pending
	Converging Outlook = "converging" // the rest shrinks
	Never      Outlook = "never"      // production changes faster than replay follows
)

const (
	// A rate means something after this long of watching.
	forecastAfter = 5 * time.Second
	// Older observations count half after this long.
	forecastHalf = 20 * time.Second
	// This little is in step: a batch is always on its way.
	forecastNear = 2 * time.Second
)

// Forecast tells from the rates in and out when replay will have caught up.
// Not safe for use by several goroutines.
type Forecast struct {
	first, last         time.Time
	journalled, applied int64
	in, out             float64
	pending             int64
}

// Observe takes in what was counted at a moment: rows journalled so far, rows
// replayed so far, rows pending. Totals that shrink (a table copied again) begin
// anew.
func (f *Forecast) Observe(at time.Time, journalled, applied, pending int64) {
	elapsed := at.Sub(f.last).Seconds()
	switch {
	case f.first.IsZero() || journalled < f.journalled || applied < f.applied:
		*f = Forecast{first: at}
	case elapsed <= 0:
		return
	default:
		keep := math.Pow(0.5, elapsed/forecastHalf.Seconds())
		if f.last.Equal(f.first) {
			keep = 0
		}
		f.in = keep*f.in + (1-keep)*float64(journalled-f.journalled)/elapsed
		f.out = keep*f.out + (1-keep)*float64(applied-f.applied)/elapsed
	}
	f.last, f.journalled, f.applied, f.pending = at, journalled, applied, pending
}

// Rates are rows a second, journalled and replayed.
func (f *Forecast) Rates() (in, out float64) { return f.in, f.out }

// ETA is how long catching up will take; a duration only when converging.
func (f *Forecast) ETA() (time.Duration, Outlook) {
	switch {
	case float64(f.pending) <= f.out*forecastNear.Seconds() && f.pending <= pendingLimit/10 || f.pending == 0:
		return 0, InStep
	case f.last.Sub(f.first) < forecastAfter:
		return 0, Measuring
	case f.out <= f.in:
		return 0, Never
	}
	seconds := float64(f.pending) / (f.out - f.in)
	if seconds > math.MaxInt64/float64(time.Second) {
		return 0, Never
	}
	return time.Duration(seconds * float64(time.Second)), Converging
}

// ETA is how many seconds the pending rows will take at these rates, rows a
// second in and out; nil: nobody knows yet, or never.
func ETA(pending int64, in, out float64) *float64 {
	seconds := 0.0
	if pending > 0 {
		if out <= in {
			return nil
		}
		seconds = float64(pending) / (out - in)
	}
	return &seconds
}
