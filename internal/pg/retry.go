package pg

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Pauses between the attempts of a [Retry]: each longer than the one before, and by
// chance, from the first to the longest. They go on for Patience in all; zero: for as
// long as the context lasts.
type Pauses struct {
	First, Longest, Patience time.Duration
}

// Every is a pause that is always the same.
func Every(d time.Duration) Pauses { return Pauses{First: d, Longest: d} }

// Retry does something again while its error is a passing one, and at least once. It
// returns the last error: also when the context ended, so that the caller knows what
// stood in the way.
func Retry(ctx context.Context, pauses Pauses, passing func(error) bool, do func() error) error {
	var wait backoff.BackOff = backoff.NewConstantBackOff(pauses.First)
	if pauses.Longest > pauses.First {
		growing := backoff.NewExponentialBackOff()
		growing.InitialInterval, growing.MaxInterval = pauses.First, pauses.Longest
		wait = growing
	}
	var last error
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		last = do()
		if last != nil && !passing(last) {
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(pauses.Patience))
	return last
}
