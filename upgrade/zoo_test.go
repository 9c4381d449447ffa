package upgrade_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/testcontainers"
	"github.com/pgumbra/pgumbra/upgrade"
)

// zoo are the folders under testdata/zoo: structure.sql and data.sql make
// production at version 1, the numbered files are the migrations that follow,
// and plan.yaml, where there is one, holds what the plan file must say.
// Together they hold every kind of object and value that must come through.
var zoo = map[string][]string{
	"keys":        {"keys"},
	"values":      {"vals"},
	"constraints": {"rules"},
	"programs":    {"prog"},
	"trees":       {"trees"},
	"names":       {"My Shop"},
	"public":      {"public"},
	"several":     {"base", "sales", "Report"},
}

func TestZooEqualsMigrationInPlace(t *testing.T) {
	t.Parallel()
	for name, schemas := range testcontainers.SomeOf(t, zoo, 4) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 2*time.Minute)
			w := build(t, zooHistory(t, name, schemas))
			w.run(ctx, upgrade.Options{Cutover: true})
			must(t, upgrade.Finish(ctx, w.file(), cutover.DropOld, upgrade.Purge, w.log))
			w.upgraded(ctx)
			w.sequencesGoOn(ctx)
		})
	}
}

func TestAbortLeavesZooAsItWas(t *testing.T) {
	t.Parallel()
	for name, schemas := range testcontainers.SomeOf(t, zoo, 3) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limited(t, 2*time.Minute)
			w := build(t, zooHistory(t, name, schemas))
			before := dump(t, w.production)
			w.run(ctx, upgrade.Options{Until: control.Following})
			_, err := upgrade.Abort(ctx, w.file(), upgrade.Purge, w.log)
			must(t, err)
			if diff := cmp.Diff(before, dump(t, w.production)); diff != "" {
				t.Errorf("after abort (-before +after):\n%s", diff)
			}
		})
	}
}

// zooHistory reads a folder of the zoo.
func zooHistory(t *testing.T, name string, schemas []string) history {
	t.Helper()
	zooRoles(t)
	return readHistory(t, filepath.Join("testdata", "zoo", name), schemas)
}

func readHistory(t *testing.T, dir string, schemas []string) history {
	t.Helper()
	h := history{structure: read(t, filepath.Join(dir, "structure.sql")) + read(t, filepath.Join(dir, "data.sql")), schemas: schemas}
	files, err := filepath.Glob(filepath.Join(dir, "*.up.sql"))
	must(t, err)
	slices.SortFunc(files, func(a, b string) int { return number(t, a) - number(t, b) })
	for _, f := range files {
		h.migrations = append(h.migrations, read(t, f))
	}
	if lines, err := os.ReadFile(filepath.Join(dir, "plan.yaml")); err == nil {
		h.planFile = string(lines)
	}
	return h
}

func number(t *testing.T, file string) int {
	t.Helper()
	digits, _, _ := strings.Cut(filepath.Base(file), "_")
	n, err := strconv.Atoi(digits)
	must(t, err)
	return n
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

var makeRoles sync.Once

const makeZooRoles = "CREATE ROLE zoo_owner; CREATE ROLE zoo_reader; CREATE ROLE zoo_writer;"

// zooRoles makes the roles that own and may read zoos. Roles are the
// cluster's, so all zoos share them.
func zooRoles(t *testing.T) {
	t.Helper()
	makeRoles.Do(func() {
		exec(t, testcontainers.Shared(t).DSN("postgres"), makeZooRoles)
	})
}

// sequencesGoOn checks that no sequence stands behind the one in place: a
// value it gave out would come again.
func (w *world) sequencesGoOn(ctx context.Context) {
	w.t.Helper()
	want, err := w.oracle.Sequences(ctx, w.oracleDSN)
	must(w.t, err)
	got, err := w.oracle.Sequences(ctx, w.served)
	must(w.t, err)
	for name, last := range want {
		if got[name] < last {
			w.t.Errorf("sequence %s stands at %d, in place at %d", name, got[name], last)
		}
	}
}
