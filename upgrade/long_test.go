package upgrade_test

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestLong repeats the tests under random traffic, each time with another seed,
// for as long as PGUMBRA_TEST_LONG says (make test-long).
func TestLong(t *testing.T) {
	text := os.Getenv("PGUMBRA_TEST_LONG")
	if text == "" {
		t.Skip("PGUMBRA_TEST_LONG=1h repeats the tests under random traffic for an hour")
	}
	long, err := time.ParseDuration(text)
	must(t, err)
	for n, began := 1, time.Now(); n == 1 || time.Since(began) < long && !t.Failed(); n++ {
		t.Run(fmt.Sprint("round ", n), func(t *testing.T) { // ends when all of them have
			t.Run("in place", TestUpgradeUnderTrafficEqualsMigrationInPlace)
			t.Run("through the cutover", TestCutoverUnderTrafficLosesNothingAndFailsNobody)
			t.Run("behind the fence", TestMigrationsBehindTheFenceUnderTrafficLoseNothing)
			t.Run("another server", TestTrafficToAnotherServerEqualsMigrationInPlace)
			t.Run("through a pool", TestTrafficThroughPgBouncerLosesNothing)
		})
	}
}
