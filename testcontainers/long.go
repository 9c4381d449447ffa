package testcontainers

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// Long runs rounds of tests one after the other, for as long as PGUMBRA_TEST_LONG
// says (1h) or until one fails, and skips where it says nothing. A round ends when
// all of its tests have.
func Long(t *testing.T, round func(t *testing.T)) {
	t.Helper()
	text := os.Getenv("PGUMBRA_TEST_LONG")
	if text == "" {
		t.Skip("PGUMBRA_TEST_LONG=1h repeats these tests for an hour: make test-long")
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("testcontainers: PGUMBRA_TEST_LONG: %v", err)
	}
	for n, began := 1, time.Now(); n == 1 || time.Since(began) < long && !t.Failed(); n++ {
		t.Run(fmt.Sprint("round ", n), round)
	}
}
