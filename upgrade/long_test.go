package upgrade_test

import (
	"testing"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestLong repeats the tests under random traffic, each time with another seed,
// for as long as PGUMBRA_TEST_LONG says (make test-long).
func TestLong(t *testing.T) {
	testcontainers.Long(t, func(t *testing.T) {
		t.Run("in place", TestUpgradeUnderTrafficEqualsMigrationInPlace)
		t.Run("through the cutover", TestCutoverUnderTrafficLosesNothingAndFailsNobody)
		t.Run("numbers there and back", TestNumbersAreHandedOutOnceThereAndBack)
		t.Run("behind the fence", TestMigrationsBehindTheFenceUnderTrafficLoseNothing)
		t.Run("another server", TestTrafficToAnotherServerEqualsMigrationInPlace)
		t.Run("through a pool", TestTrafficThroughPgBouncerLosesNothing)
	})
}
