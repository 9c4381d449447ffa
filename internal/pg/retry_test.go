package pg

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestRetryEndsWithTheLastError(t *testing.T) {
	t.Parallel()
	passing, lasting := errors.New("passing"), errors.New("lasting")
	again := func(err error) bool { return errors.Is(err, passing) }
	soon := Pauses{First: time.Microsecond, Longest: time.Millisecond}
	for name, c := range map[string]struct {
		pauses Pauses
		errs   []error // one after the other; the last one again and again
		want   error
		tries  int
	}{
		"success":             {soon, []error{nil}, nil, 1},
		"success in the end":  {soon, []error{passing, passing, nil}, nil, 3},
		"an error that lasts": {Every(time.Microsecond), []error{passing, lasting}, lasting, 2},
		"no patience left":    {Pauses{First: time.Hour, Longest: time.Hour, Patience: time.Second}, []error{passing}, passing, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := 0
			err := Retry(t.Context(), c.pauses, again, func() error {
				tries++
				return c.errs[min(tries, len(c.errs))-1]
			})
			if !errors.Is(err, c.want) || tries != c.tries {
				t.Errorf("%v after %d tries", err, tries)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := Retry(ctx, Every(time.Hour), again, func() error {
		cancel()
		return passing
	})
	if !errors.Is(err, passing) {
		t.Errorf("a context that ended: %v", err)
	}
}
