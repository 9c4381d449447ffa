//go:build linux || darwin || freebsd

package estimate

import "golang.org/x/sys/unix"

// freeBytes is what a user without privileges may still write in a directory's
// file system.
func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // types differ between systems
}
