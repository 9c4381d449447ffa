package traffic

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// errChanged says that somebody else wrote a file between our reading and our
// writing it. Read again and repeat.
var errChanged = errors.New("the file was changed meanwhile")

// swapping is one file at a time in a process: between the look at what the file holds
// and the rename nobody else of the group may write it.
var swapping sync.Mutex

// swapFile puts content in a file's place by rename, so that whoever reads it,
// and whatever crash comes, finds the old or the new one whole. Owner, group
// and mode stay. before is what the file must still hold, else [errChanged].
// written tells the new file from one that somebody writes later.
func swapFile(path, before, content string) (written os.FileInfo, err error) {
	swapping.Lock()
	defer swapping.Unlock()
	temporary, err := writeBeside(path, path, content)
	if err != nil {
		return nil, fmt.Errorf("rewrite %s: %w", path, err)
	}
	written, err = os.Stat(temporary)
	if err == nil {
		err = unchanged(path, before)
	}
	return written, move(temporary, path, err)
}

func unchanged(path, before string) error {
	now, err := os.ReadFile(path)
	if err == nil && string(now) != before {
		err = errChanged
	}
	return err
}

// keepFile writes a file that has the owner, group, mode and folder of model.
func keepFile(model, path, content string) error {
	temporary, err := writeBeside(model, path, content)
	if err != nil {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	return move(temporary, path, nil)
}

// move ends what writeBeside began, or takes it back after an error.
func move(temporary, path string, err error) error {
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, errors.Join(err, removeFile(temporary)))
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return nil
}

// writeBeside writes content to a temporary file, ready to be renamed to path.
func writeBeside(model, path, content string) (temporary string, err error) {
	info, err := os.Stat(model)
	if err != nil {
		return "", err
	}
	temporary = filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".pgumbra-tmp")
	if err := removeFile(temporary); err != nil {
		return "", err // left by a process that was killed
	}
	if err := writeLike(temporary, info, content); err != nil {
		return "", errors.Join(err, removeFile(temporary))
	}
	return temporary, nil
}

// writeLike writes a new file that only its maker can read until it has the
// owner and mode of its model: entries may hold passwords.
func writeLike(path string, model os.FileInfo, content string) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.WriteString(content); err != nil {
		return err
	}
	if stat, ok := model.Sys().(*syscall.Stat_t); ok {
		if err := file.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
			return err
		}
	}
	if err := file.Chmod(model.Mode().Perm()); err != nil {
		return err
	}
	return file.Sync()
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// replaceable reports why a file could not be replaced as swapFile does it;
// nil when it could. Nothing is written.
func replaceable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	const write, search = 2, 1
	if err := syscall.Access(filepath.Dir(path), write|search); err != nil {
		return fmt.Errorf("the folder %s is not writable: %w", filepath.Dir(path), err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() == 0 {
		return nil
	}
	if int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to uid %d, and only that user or root can keep it so", stat.Uid)
	}
	if int(stat.Gid) != os.Getegid() && !inGroup(int(stat.Gid)) {
		return fmt.Errorf("its group is %d, which this user is not in and could not keep", stat.Gid)
	}
	return nil
}

func inGroup(gid int) bool {
	groups, _ := os.Getgroups()
	for _, g := range groups {
		if g == gid {
			return true
		}
	}
	return false
}
