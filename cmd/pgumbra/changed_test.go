package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/testcontainers"
)

// TestWhatTheFilesSaySinceIsToldEachTime: a run stays as it was planned, and whoever leads
// it on is told that the migrations or the plan file are other ones since.
func TestWhatTheFilesSaySinceIsToldEachTime(t *testing.T) {
	testcontainers.InTurn(t, 3)
	t.Parallel()
	ctx := limited(t, 2*time.Minute)
	o := operatorOf(t, tiny)
	resumed := func() string { return o.do(ctx, exitDone, "run", "--until", "building").err.String() }
	if said := resumed() + resumed(); strings.Contains(said, "was planned with") {
		t.Errorf("of files that are the same it says:\n%s", said)
	}
	o.write("migrations/3_more.up.sql", "ALTER TABLE shop.a ADD COLUMN more int;")
	for range 2 {
		if said := resumed(); !strings.Contains(said, "was planned with") || !strings.Contains(said, "migrations.content") {
			t.Errorf("of a new migration it says:\n%s", said)
		}
	}
}
