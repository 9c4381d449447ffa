package testcontainers

import (
	"context"
	"testing"
	"time"
)

// slow is how much longer than on an idle machine of two processors a test may take: one
// that hangs hangs all the same, and one on a busy machine is not wrong.
const slow = 3

// Limited is a context for a test that takes at most d where nothing else runs.
func Limited(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), slow*d)
	t.Cleanup(cancel)
	return ctx
}
