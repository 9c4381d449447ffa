package testcontainers

import "testing"

// Every test comes to its turn, in one of n runs.
func TestEachTestHasOneTurnInN(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"TestCases", "TestFaultMatrix", "TestRollbackByCommand"} {
		taken := 0
		for seed := range uint64(3) {
			if turn(name, seed, 3) {
				taken++
			}
		}
		if taken != 1 {
			t.Errorf("%s runs with %d of three seeds that follow each other, want 1", name, taken)
		}
	}
}
