package migrations

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgumbra/pgumbra/plans"
)

func folderOf(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		path := filepath.Join(dir, n)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func versions(files []File) []int64 {
	var all []int64
	for _, f := range files {
		all = append(all, f.Version)
	}
	return all
}

func TestMigrationsAreSortedByNumberWithGaps(t *testing.T) {
	t.Parallel()
	m, err := Read(folderOf(t, "100_c.up.sql", "1_a.up.sql", "1_a.down.sql", "10_b.up.sql", "20240102030405_d.up.sql", "000042_e.up.sql", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{1, 10, 42, 100, 20240102030405}, versions(m.Files)); diff != "" {
		t.Error(diff)
	}
	if m.Newest() != 20240102030405 || !m.Has(42) || m.Has(43) || len(m.Warnings) != 0 {
		t.Errorf("newest %d, has 42 %v, 43 %v, warnings %v", m.Newest(), m.Has(42), m.Has(43), m.Warnings)
	}
	from := int64(10)
	if diff := cmp.Diff([]int64{42, 100}, versions(m.Between(&from, 100))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int64{1, 10}, versions(m.Between(nil, 41))); diff != "" {
		t.Error(diff)
	}
	if m.Files[2].Name != "000042_e.up.sql" || m.Files[2].Path != filepath.Join(m.Dir, "000042_e.up.sql") {
		t.Errorf("file %+v", m.Files[2])
	}
}

func TestMigrationsNotSeenAreWarnings(t *testing.T) {
	t.Parallel()
	m, err := Read(folderOf(t, "1_a.up.sql", "2_b.sql", "V3__c.SQL", "old/4_d.up.sql", "5_e.down.sql", "notes.txt", "docs/x.md"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range m.Warnings {
		got = append(got, w.Code+" "+w.Object)
	}
	want := []string{"migration-file-unseen 2_b.sql", "migration-without-up 5_e.down.sql", "migration-file-unseen V3__c.SQL", "migration-file-unseen old"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !m.Has(5) || m.Newest() != 1 {
		t.Errorf("has 5 %v, newest %d", m.Has(5), m.Newest())
	}
}

func TestMigrationsFolderMistakesAreFileErrors(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(folderOf(t, "file"), "file")
	for dir, words := range map[string]string{
		filepath.Join(t.TempDir(), "absent"): "does not exist",
		plain:                                "not a directory",
		folderOf(t):                          "no up files",
		folderOf(t, "1_a.down.sql"):          "no up files",
		folderOf(t, "7_a.up.sql", "007_b.up.sql"):           "number 7 is that of",
		folderOf(t, "1_a.down.sql", "1_b.down.sql"):         "number 1 is that of 1_a.down.sql too",
		folderOf(t, "18446744073709551615_a.up.sql"):        "beyond",
		folderOf(t, "1_a.up.sql", "1_a.up.sql.bak", "x.md"): "number 1 is that of 1_a.up.sql too",
	} {
		_, err := Read(dir)
		var fe *plans.FileError
		if !errors.As(err, &fe) || !strings.Contains(err.Error(), words) || fe.Fix == "" && words != "beyond" {
			t.Errorf("%s: %v", filepath.Base(dir), err)
		}
	}
}
