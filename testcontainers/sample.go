package testcontainers

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// Whole reports whether tests go through all of what they otherwise take a sample
// of: PGUMBRA_TEST_WHOLE=1, as make test-whole and make test-faults set it.
func Whole() bool { return os.Getenv("PGUMBRA_TEST_WHOLE") != "" }

// Part is which of the many things that a sweep goes through it does: with
// PGUMBRA_TEST_PART=2/6 the second and every sixth after it, so that six runs do all;
// with 400/1 all from the 400th on. Otherwise all.
func Part(t testing.TB) (first, step int) {
	t.Helper()
	text := os.Getenv("PGUMBRA_TEST_PART")
	if text == "" {
		return 1, 1
	}
	if _, err := fmt.Sscanf(text, "%d/%d", &first, &step); err != nil || first < 1 || step < 1 {
		t.Fatalf("testcontainers: PGUMBRA_TEST_PART=%s: want 2/6 for the second and every sixth after it", text)
	}
	return first, step
}

// Seed is PGUMBRA_SEED, or one of chance for the whole process. The test tells it.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := chance()
	if text := os.Getenv("PGUMBRA_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("testcontainers: PGUMBRA_SEED: %v", err)
		}
	}
	t.Logf("to repeat: PGUMBRA_SEED=%d", seed)
	return seed
}

var chance = sync.OnceValue(func() uint64 { return rand.Uint64() >> 32 })

// Some chooses so many of all, in their order, by [Seed] and the test's name; all of
// them where [Whole]. A suite that is run often goes through everything in time.
func Some[T any](t testing.TB, all []T, n int) []T {
	t.Helper()
	if Whole() || n >= len(all) {
		return all
	}
	chosen := rand.New(rand.NewPCG(Seed(t), hash(t.Name()))).Perm(len(all))[:n]
	slices.Sort(chosen)
	some := make([]T, n)
	for i, at := range chosen {
		some[i] = all[at]
	}
	return some
}

// hash of a test's name: the same seed chooses otherwise for each test.
func hash(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}

// SomeOf is [Some] of a map.
func SomeOf[V any](t testing.TB, all map[string]V, n int) map[string]V {
	t.Helper()
	some := map[string]V{}
	for _, name := range Some(t, slices.Sorted(maps.Keys(all)), n) {
		some[name] = all[name]
	}
	return some
}
