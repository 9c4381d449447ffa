package main

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestLong repeats the tests that keep a ledger while processes are killed, stopped
// and cut off, for as long as PGUMBRA_TEST_LONG says (make test-long).
func TestLong(t *testing.T) {
	text := os.Getenv("PGUMBRA_TEST_LONG")
	if text == "" {
		t.Skip("PGUMBRA_TEST_LONG=1h repeats the tests that keep a ledger for an hour")
	}
	long, err := time.ParseDuration(text)
	must(t, err)
	for n, began := 1, time.Now(); n == 1 || time.Since(began) < long && !t.Failed(); n++ {
		t.Run(fmt.Sprint("round ", n), func(t *testing.T) {
			t.Run("killed", TestKilledAtEveryMomentItLosesNothing)
			t.Run("killed, remote", TestKilledAtEveryMomentApartItLosesNothing)
			t.Run("cut off", TestCutConnectionsAreSurvived)
			t.Run("network", TestNetworkThatFailsIsSurvived)
			t.Run("stopped", TestProcessStoppedAtAnyStatementOfTheCutoverHoldsNobodyUp)
		})
	}
}
