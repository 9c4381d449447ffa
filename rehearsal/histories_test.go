package rehearsal_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/plans/planfile"
	"github.com/pgumbra/pgumbra/rehearsal"
	"github.com/pgumbra/pgumbra/testcontainers"
)

const historiesFolder = "../testdata/histories"

// stretch is a part of a history: from the state after one of its migrations to
// that after a later one.
type stretch struct {
	history  string
	files    []string // up to the last of the stretch
	from, to string   // versions
}

func (s stretch) String() string { return fmt.Sprintf("%s from %s to %s", s.history, s.from, s.to) }

// TestHistoriesEqualInPlace rehearses a whole history, and where everything is tested
// stretches of 1 and 5 of its migrations too, under traffic, against the migrations run
// in place.
func TestHistoriesEqualInPlace(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob(filepath.Join(historiesFolder, "*", "pgumbra.yaml"))
	must(t, err)
	var whole, parts []stretch
	for _, file := range folders {
		all := stretches(t, filepath.Dir(file))
		whole, parts = append(whole, all[len(all)-1]), append(parts, all[:len(all)-1]...)
	}
	if len(whole) == 0 {
		t.Fatalf("no histories in %s", historiesFolder)
	}
	for _, s := range append(testcontainers.Some(t, whole, 1), testcontainers.Some(t, parts, 0)...) {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			file, err := planfile.Load(s.lay(t), nil)
			must(t, err)
			r, err := rehearsal.Run(ctx, file, rehearsal.Options{Seed: 7, Window: 300 * time.Millisecond, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
			must(t, err)
			for _, g := range r.Gates {
				if !g.Passed {
					t.Errorf("%s: %s", g.Name, g.Message)
				}
			}
			if r.Oracle != nil {
				for _, d := range r.Oracle.Differences {
					t.Errorf("%+v", d)
				}
			}
		})
	}
}

// stretches are all of 1 and of 5 migrations, and the whole history.
func stretches(t *testing.T, dir string) []stretch {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.up.sql"))
	must(t, err)
	slices.SortFunc(files, func(a, b string) int { return cmp.Compare(numberOf(t, a), numberOf(t, b)) })
	var all []stretch
	for _, length := range []int{1, 5, len(files) - 1} {
		for end := length; end < len(files); end += length {
			all = append(all, stretch{filepath.Base(dir), files[:end+1], fmt.Sprint(numberOf(t, files[end-length])), fmt.Sprint(numberOf(t, files[end]))})
		}
	}
	return all
}

func numberOf(t *testing.T, file string) int64 {
	t.Helper()
	number, _, _ := strings.Cut(filepath.Base(file), "_")
	v, err := strconv.ParseInt(number, 10, 64)
	must(t, err)
	return v
}

// lay lays a stretch's files and its plan file out in a folder of its own.
func (s stretch) lay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "migrations"), 0o700))
	for _, f := range s.files {
		text, err := os.ReadFile(f)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "migrations", filepath.Base(f)), text, 0o600))
	}
	plan, err := os.ReadFile(s.planFile(t))
	must(t, err)
	path := filepath.Join(dir, "pgumbra.yaml")
	must(t, os.WriteFile(path, append(plan, fmt.Sprintf("migrations: {path: migrations, from: %s}\nrehearse: {rows: 200, clients: 3}\n", s.from)...), 0o600))
	return path
}

// planFile is pgumbra.yaml, or one of those from a version on, pgumbra-12.yaml, where
// tables have other names by then.
func (s stretch) planFile(t *testing.T) string {
	t.Helper()
	dir := filepath.Dir(s.files[0])
	file := filepath.Join(dir, "pgumbra.yaml")
	from, err := strconv.ParseInt(s.from, 10, 64)
	must(t, err)
	later, err := filepath.Glob(filepath.Join(dir, "pgumbra-*.yaml"))
	must(t, err)
	slices.SortFunc(later, func(a, b string) int { return cmp.Or(len(a)-len(b), cmp.Compare(a, b)) }) // by number
	for _, f := range later {
		_, number, _ := strings.Cut(strings.TrimSuffix(filepath.Base(f), ".yaml"), "-")
		since, err := strconv.ParseInt(number, 10, 64)
		must(t, err)
		if from >= since {
			file = f
		}
	}
	return file
}
