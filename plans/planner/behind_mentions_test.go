package planner

import (
	"testing"

	"github.com/pgumbra/pgumbra/plans"
	"github.com/pgumbra/pgumbra/plans/syntax"
)

func TestBehindMentionsWholeWords(t *testing.T) {
	t.Parallel()
	b := &plans.Behind{Files: []plans.BehindFile{{Statements: []syntax.ScriptStatement{
		{SQL: `ALTER TYPE Mood ADD VALUE 'x'`}, {SQL: `DO $$ BEGIN EXECUTE 'DROP TABLE "odd name", straße'; END $$`}}}}}
	for name, want := range map[string]bool{"mood": true, "MOOD": true, "moo": false, "oods": false, "odd name": true, "odd nam": false, "straße": true, "stra": false, "end": true} {
		if got := b.Mentions(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
