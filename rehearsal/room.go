package rehearsal

import (
	"fmt"
	"os"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/internal/human"
	"github.com/pgumbra/pgumbra/internal/pg"
)

const (
	// leastRoom is what an empty server with its WAL and some rows needs.
	leastRoom = 512 << 20
	// copies of the rows that there are at most at a time: the shadow, two twins, and
	// what the migrations rewrite in them.
	copies = 5
)

// NoRoomError says that the disk has no room for a rehearsal. The caller shows it
// and exits 3.
type NoRoomError struct{ what string }

func (e *NoRoomError) Error() string { return e.what }

// room is an error where the folder of disposable servers has less left than what
// is needed. Where it is not known how much that is, work goes on.
func room(needed int64, what string) error {
	dir := os.TempDir()
	free, err := freeBytes(dir)
	if err != nil || free >= needed {
		return nil //nolint:nilerr // not known here
	}
	return &NoRoomError{fmt.Sprintf("%s needs about %s, and %s has %s left; TMPDIR leads to another disk, rehearse.rows makes it less",
		what, human.Bytes(needed), dir, human.Bytes(free))}
}

// noRoom makes a full disk's error one of its kind.
func noRoom(err error) error {
	if pg.State(err) == pgerrcode.DiskFull {
		return &NoRoomError{"the disk is full: " + pg.Message(err) + "; TMPDIR leads to another disk, rehearse.rows makes it less"}
	}
	return err
}
