package main

import (
	"testing"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestLong repeats the tests that keep a ledger while processes are killed, stopped
// and cut off, for as long as PGUMBRA_TEST_LONG says (make test-long).
func TestLong(t *testing.T) {
	testcontainers.Long(t, func(t *testing.T) {
		t.Run("killed", TestKilledAtEveryMomentItLosesNothing)
		t.Run("killed, remote", TestKilledAtEveryMomentApartItLosesNothing)
		t.Run("cut off", TestCutConnectionsAreSurvived)
		t.Run("network", TestNetworkThatFailsIsSurvived)
		t.Run("stopped", TestProcessStoppedAtAnyStatementOfTheCutoverHoldsNobodyUp)
	})
}
