package cutover

import (
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/plans"
)

// spentOnIt: a swap's record says what its stall was spent on, and no more than that.
func spentOnIt(f *fixture, parts ...string) {
	f.t.Helper()
	for _, part := range parts {
		if !get[bool](f, "SELECT EXISTS (SELECT FROM json_array_elements(cutover->'parts') p WHERE p->>'part' = $1 AND (p->>'ms')::float8 >= 0) FROM pgumbra.run", part) {
			f.t.Errorf("no %s among %s", part, get[string](f, "SELECT cutover::text FROM pgumbra.run"))
		}
	}
	if !get[bool](f, "SELECT abs(sum((p->>'ms')::float8) - max((cutover->>'stall_ms')::float8)) < 0.1 FROM pgumbra.run, json_array_elements(cutover->'parts') p") {
		f.t.Errorf("the parts are not the stall: %s", get[string](f, "SELECT cutover::text FROM pgumbra.run"))
	}
}

func TestAStallIsToldByItsParts(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	f.settle(5*time.Second, time.Second)
	f.swaps()
	spentOnIt(f, "fence", "drain", "sequences", "old snapshots", "swap", "last look", "commit")
}
