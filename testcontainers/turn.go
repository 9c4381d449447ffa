package testcontainers

import (
	"flag"
	"testing"
)

// InTurn leaves a test that takes long to one of every n runs of its package, which one
// [Seed] says: a suite that is run often goes through everything in time, and each run
// is short. The test runs where it is asked for by name (-run), and where [Whole].
func InTurn(t *testing.T, n uint64) {
	t.Helper()
	if Whole() || flag.Lookup("test.run").Value.String() != "" {
		return
	}
	if seed := Seed(t); !turn(t.Name(), seed, n) {
		t.Skipf("this run leaves it to one of the next: make test-whole runs it, so does -run '^%s$'", t.Name())
	}
}

// turn reports whether a test runs where the seed is this one.
func turn(name string, seed, n uint64) bool { return hash(name)%n == seed%n }
