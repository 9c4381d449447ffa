package testcontainers

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// folder is a server's place on disk. The process that made it holds a lock
// (flock) on it as long as it lives, so a folder that can be locked is a dead
// process's.
type folder struct {
	path  string
	lock  *os.File
	owner account
}

// newFolder makes a folder that the server's account owns, and removes those
// that dead processes left.
func newFolder() (*folder, error) {
	owner, err := serverAccount()
	if err != nil {
		return nil, err
	}
	base, err := baseFolder()
	if err != nil {
		return nil, fmt.Errorf("make a folder for servers: %w", err)
	}
	// Alone while sweeping and claiming, or another process would sweep a
	// folder between its making and its lock.
	alone, err := lockFolder(base, syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", base, err)
	}
	defer func() { _ = alone.Close() }()
	sweep(base)
	return claim(base, owner)
}

// baseFolder is this user's folder of servers in TMPDIR, or where PGUMBRA_TEST_SERVERS
// says, a file system in memory for instance. Names are short, for
// a Unix socket's path ends at 107 bytes. /tmp is everybody's: a folder of
// that name which somebody else made is refused.
func baseFolder() (string, error) {
	base := filepath.Join(cmp.Or(os.Getenv("PGUMBRA_TEST_SERVERS"), os.TempDir()), "pgumbra-"+strconv.Itoa(os.Getuid()))
	if err := os.Mkdir(base, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(base)
	if err != nil {
		return "", err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(stat.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a folder of this user", base)
	}
	return base, nil
}

func claim(base string, owner account) (*folder, error) {
	path, err := os.MkdirTemp(base, "s")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the server: %w", err)
	}
	f := &folder{path: path, owner: owner}
	if f.lock, err = lockFolder(path, syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		err = owner.own(path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("claim %s: %w", path, err), f.remove())
	}
	return f, nil
}

func (f *folder) remove() error {
	err := os.RemoveAll(f.path)
	if f.lock != nil {
		_ = f.lock.Close() // the lock goes with it
		f.lock = nil
	}
	return err
}

func lockFolder(path string, how int) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), how); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// sweep ends the servers and removes the folders of processes that no longer
// live. What resists stays for the next sweep: the caller's own server does
// not depend on it.
func sweep(base string) {
	paths, _ := filepath.Glob(filepath.Join(base, "s*"))
	for _, path := range paths {
		lock, err := lockFolder(path, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue
		}
		if endOrphans(path) {
			_ = os.RemoveAll(path)
		}
		_ = lock.Close()
	}
}
