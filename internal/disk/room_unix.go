//go:build linux || darwin

package disk

import "syscall"

// room is what a file system has left for those who are no superuser.
func room(folder string) (int64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true //nolint:unconvert // an int32 on other systems
}
