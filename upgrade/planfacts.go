package upgrade

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgumbra/pgumbra/internal/control"
	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

// factsOf is what a plan file says, by key: what two processes that lead a run one
// after the other should agree about. Connection strings and paths are not in it,
// which may be other ones on another host; of the migrations there is a hash.
func factsOf(f *planfile.File) (map[string]string, error) {
	hash, err := hashFolder(f.Migrations.Path)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	pools := make([]string, len(f.Traffic.PgBouncer))
	for i, p := range f.Traffic.PgBouncer {
		pools[i] = p.Database
	}
	tables := map[string]any{}
	for _, t := range f.Tables {
		tables[t.Name.String()] = map[string]any{"columns": t.Columns, "where": t.Where, "record": t.Record, "reverse": t.Reverse,
			"from": t.From, "key": t.Key, "skip": t.Skip, "freeze": t.Freeze}
	}
	text, err := pg.JSON(map[string]any{
		"production": map[string]any{"schemas": f.Production.Schemas},
		"shadow":     map[string]any{"elsewhere": f.Shadow.DSN != ""},
		"migrations": map[string]any{"content": hash, "table": f.Migrations.Table, "version": f.Migrations.Version, "multi_statement": f.Migrations.MultiStatement},
		"tables":     tables,
		"copy":       f.Copy, "capture": f.Capture, "cutover": f.Cutover, "watch": f.Watch,
		"traffic": map[string]any{"pgbouncer": pools, "command": len(f.Traffic.Command) > 0},
	})
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	facts := map[string]string{}
	flatten(facts, "", tree)
	return facts, nil
}

// flatten notes the leaves of a tree under their dotted keys. On which line of its
// file something stands says nothing.
func flatten(facts map[string]string, key string, node any) {
	switch v := node.(type) {
	case map[string]any:
		for k, child := range v {
			if k != "Line" {
				flatten(facts, strings.TrimPrefix(key+"."+k, "."), child)
			}
		}
	case []any:
		for i, child := range v {
			flatten(facts, fmt.Sprintf("%s.%d", key, i), child)
		}
	case nil:
	default:
		facts[key] = fmt.Sprint(v)
	}
}

// hashFolder is a hash of the names and texts of a folder's files; empty: there is
// none.
func hashFolder(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, e := range entries { // in the order of their names
		if e.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(path, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%q %d ", e.Name(), len(text))
		_, _ = sum.Write(text) // never fails
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// differentKeys are the keys under which two plan files say something else.
func differentKeys(a, b map[string]string) []string {
	all := map[string]bool{}
	for _, m := range []map[string]string{a, b} {
		for key := range m {
			if a[key] != b[key] {
				all[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// planned begin the keys that a run takes over when it is planned, for all its life.
var planned = []string{"production.", "shadow.", "migrations.", "tables."}

// asPlanned puts what the run was planned with, as recorded, in the place of what a plan
// file says now, and returns the keys under which that is something else.
func asPlanned(recorded, facts map[string]string) (changed []string) {
	if recorded == nil || facts == nil { // of an older pgumbra, or without the migrations
		return nil
	}
	for _, key := range differentKeys(recorded, facts) {
		if !slices.ContainsFunc(planned, func(of string) bool { return strings.HasPrefix(key, of) }) {
			continue
		}
		changed = append(changed, key)
		delete(facts, key)
		if was, known := recorded[key]; known {
			facts[key] = was
		}
	}
	return changed
}

// tellChanged warns of what plan file and migrations say since the run was planned, which
// counts for the next run. It returns the facts to record.
func tellChanged(ctx context.Context, db pg.Querier, run *control.Run, file *planfile.File, log *slog.Logger) (map[string]string, error) {
	facts, _ := factsOf(file) // nil: a folder of migrations that is gone since is no reason not to go on
	recorded, err := control.ReadProgram(ctx, db, run)
	if err != nil {
		return nil, err
	}
	if changed := asPlanned(recorded.File, facts); len(changed) > 0 {
		log.Warn("the plan file or the migrations are not what the run was planned with, and it stays as it was planned; pgumbra abort, then pgumbra run takes what they say now", "differ", joined(changed))
	}
	return facts, nil
}

// joined names some, and how many more there are.
func joined(keys []string) string {
	const most = 5
	if len(keys) <= most {
		return strings.Join(keys, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(keys[:most], ", "), len(keys)-most)
}
