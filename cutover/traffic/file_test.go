package traffic

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
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

// A process of another user may write in the folder, and yet not keep the file's
// owner; or not even that.
func TestFileThatCannotBeReplacedIsSaid(t *testing.T) {
	t.Parallel()
	path := write(t, "text")
	folder := filepath.Dir(path)
	if err := replaceable(path); err != nil {
		t.Error(err)
	}
	if os.Geteuid() != 0 { // then there is no other user to be
		if err := os.Chmod(folder, 0o500); err != nil {
			t.Fatal(err)
		}
		if err := replaceable(path); err == nil || !strings.Contains(err.Error(), "is not writable") {
			t.Error(err)
		}
		return
	}
	if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil { // a test's own folder is closed to others
		t.Fatal(err)
	}
	for mode, says := range map[os.FileMode]string{0o755: "is not writable", 0o777: "it belongs to uid 0"} {
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
		if err := asNobody(func() error { return replaceable(path) }); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %s", err, says)
		}
	}
}

// asNobody does something on a thread of another user, which ends with it.
func asNobody(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and is not unlocked
		const nobody = 65534
		if _, _, no := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); no != 0 {
			done <- no
			return
		}
		done <- do()
	}()
	return <-done
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
