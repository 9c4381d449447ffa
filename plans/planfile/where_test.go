package planfile

import (
	"os"
	"path/filepath"
	"testing"
)

// A finding about a key is shown where its value came from.
func TestAValueIsBlamedOnWhatSaidIt(t *testing.T) {
	t.Setenv("PGUMBRA_MIGRATIONS_VERSION", "7")
	path := filepath.Join(t.TempDir(), "up.yaml")
	if err := os.WriteFile(path, []byte("name: up\nproduction:\n  schemas: [shop]\nmigrations: {path: m, version: 3}\nbuild: direct\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load(path, map[string]any{"production.schemas": "shpo"})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"production.schemas": "--set production.schemas", "migrations.version": "PGUMBRA_MIGRATIONS_VERSION", "build": "up.yaml:5"} {
		if got := f.Where(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}
