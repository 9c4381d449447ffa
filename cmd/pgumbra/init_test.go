package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestInitTakesWhatIsThere: where production is, the environment may say; the usual
// folder of migrations is found.
func TestInitTakesWhatIsThere(t *testing.T) {
	t.Parallel()
	ctx := limited(t, time.Minute)
	o := operatorOf(t, tiny)
	o.env = []string{"PGUMBRA_PRODUCTION_DSN=" + o.dsn}
	o.do(ctx, exitDone, "init", "--schema", "shop", "-o", "new.yaml")
	text, err := os.ReadFile(filepath.Join(o.dir, "new.yaml"))
	must(t, err)
	for _, want := range []string{"path: ./migrations\n", "dsn: \"postgres"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in the plan file:\n%s", want, text)
		}
	}
	must(t, os.RemoveAll(filepath.Join(o.dir, "migrations")))
	o.do(ctx, exitDone, "init", "--schema", "shop", "-o", "none.yaml")
	if text, err = os.ReadFile(filepath.Join(o.dir, "none.yaml")); err != nil || !strings.Contains(string(text), "DECIDE: no migrations were named") {
		t.Errorf("without the folder nothing is asked: %v\n%s", err, text)
	}
}
