package testcontainers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// account is whom a server runs as. PostgreSQL refuses root, so root lends its
// server's processes another user; everybody else runs them as oneself.
type account struct {
	credential *syscall.Credential // nil: oneself
}

// Users that may run root's servers, best first. initdb wants one with an
// entry in passwd, so a bare number does not do.
var unprivileged = []string{"postgres", "nobody", "daemon"}

func serverAccount() (account, error) {
	if os.Getuid() != 0 {
		return account{}, nil
	}
	for _, name := range unprivileged {
		if u, err := user.Lookup(name); err == nil {
			return accountOf(u)
		}
	}
	return account{}, fmt.Errorf("PostgreSQL does not run as root, and none of the users %s exists", strings.Join(unprivileged, ", "))
}

func accountOf(u *user.User) (account, error) {
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("read the uid of %s: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("read the gid of %s: %w", u.Username, err)
	}
	return account{credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// own hands a folder over.
func (a account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	return os.Chown(path, int(a.credential.Uid), int(a.credential.Gid))
}

// apply makes a command run as the account, in a process group of its own (a
// terminal's ctrl-C goes to whoever started us, who then stops the server in
// order) and without our environment's PostgreSQL settings.
func (a account) apply(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential, Setpgid: true}
	cmd.Dir = "/"
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "PG") || strings.HasPrefix(entry, "LC_") || strings.HasPrefix(entry, "LANG")
	})
	cmd.Env = append(cmd.Env, "LC_ALL=C")
}

// explain adds to an error of starting a program what a person would have to
// find out: that the account cannot reach it.
func (a account) explain(err error, program string) error {
	if a.credential == nil || !errors.Is(err, os.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w (uid %d, whom the server runs as, needs to reach and execute it; see %s)",
		err, a.credential.Uid, filepath.Dir(program))
}
