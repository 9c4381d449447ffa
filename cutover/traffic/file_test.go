package traffic

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestSwapFileKeepsWhatSomebodyElseWrote(t *testing.T) {
	t.Parallel()
	path := write(t, "theirs")
	if _, err := swapFile(path, "as we read it", "ours"); !errors.Is(err, errChanged) {
		t.Errorf("%v", err)
	}
	wantFiles(t, path, "theirs")
}

func TestSwapFileGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	path := write(t, "old")
	left := filepath.Join(filepath.Dir(path), ".pgbouncer.ini.pgumbra-tmp")
	if err := os.WriteFile(left, []byte("half"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := swapFile(path, "old", "new"); err != nil {
		t.Error(err)
	}
	wantFiles(t, path, "new")
}

func TestASymbolicLinkStaysOne(t *testing.T) {
	t.Parallel()
	path := write(t, "[databases]\nshop = host=a\n")
	link := filepath.Join(t.TempDir(), "link.ini")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(link)
	if e, ok := c.find("shop"); err != nil || !ok || e.path != path {
		t.Errorf("%+v (%v)", e, err)
	}
}

// wantFiles wants one file alone in its folder.
func wantFiles(t *testing.T, path, content string) {
	t.Helper()
	text, err := os.ReadFile(path)
	files, _ := os.ReadDir(filepath.Dir(path))
	if err != nil || string(text) != content || len(files) != 1 {
		t.Errorf("%q, %v (%v)", text, files, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
}
