package testcontainers

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// BinVariable names the environment variable with the folder of PostgreSQL's
// binaries. Set, it is used or complained about, never passed over.
const BinVariable = "PGUMBRA_PG_BIN"

// errNoBinaries comes when no folder was named and none was found; Docker is
// next.
var errNoBinaries = errors.New("no PostgreSQL server to start. One of these ways is needed:\n" +
	"  " + BinVariable + ", set to the folder of initdb and postgres;\n" +
	"  an installed server, found by pg_config or as " + debianPattern + " (Debian: apt-get install postgresql);\n" +
	"  a Docker engine with the image that " + ImageVariable + " names (without it: " + officialImage + ")")

// debianPattern is where Debian and its kin install servers, one folder per
// major version.
const debianPattern = "/usr/lib/postgresql/*/bin"

// Bin is the path of one of PostgreSQL's programs (pg_dump, pgbench, psql):
// beside the server's binaries, else in PATH.
func Bin(name string) (string, error) {
	dir, err := binaries("")
	if err == nil {
		path := filepath.Join(dir, name)
		if executable(path) {
			return path, nil
		}
	}
	if err != nil && !errors.Is(err, errNoBinaries) {
		return "", err
	}
	path, lookErr := exec.LookPath(name)
	if lookErr != nil {
		return "", fmt.Errorf("find %s: %w", name, cmp.Or(err, lookErr))
	}
	return path, nil
}

// BinDir is the folder of the installed server's binaries.
func BinDir() (string, error) { return binaries("") }

// binaries finds the folder of initdb and postgres. A folder that somebody
// named is right or an error: falling back to another version would test
// something else than was asked for.
func binaries(explicit string) (string, error) {
	if explicit != "" {
		return explicit, complete(explicit)
	}
	if dir := os.Getenv(BinVariable); dir != "" {
		if err := complete(dir); err != nil {
			return "", fmt.Errorf("%s: %w", BinVariable, err)
		}
		return dir, nil
	}
	return first(installed())
}

func first(candidates []string) (string, error) {
	for _, dir := range candidates {
		if complete(dir) == nil {
			return dir, nil
		}
	}
	return "", errNoBinaries
}

func installed() []string {
	var dirs []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	debian, _ := filepath.Glob(debianPattern) // fails on a bad pattern only
	return append(dirs, newestFirst(debian)...)
}

func newestFirst(debian []string) []string {
	slices.SortFunc(debian, func(a, b string) int { return cmp.Compare(major(b), major(a)) })
	return debian
}

func major(binDir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(binDir)))
	return n
}

// complete checks that a folder holds a server, not only the client: pg_config
// comes with libpq too.
func complete(dir string) error {
	for _, name := range []string{"initdb", "postgres"} {
		if !executable(filepath.Join(dir, name)) {
			return fmt.Errorf("%s has no executable %s", dir, name)
		}
	}
	return nil
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
