package testcontainers

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// binaries finds the folder of the server that the options ask for.
func (o Options) binaries() (string, error) {
	if o.BinDir == "" && o.Major != 0 {
		return BinDirOf(o.Major)
	}
	return binaries(o.BinDir)
}

// BinDirOf is the folder of the binaries of an installed server of one major
// version: the folder that BinVariable names or pg_config tells if it is of
// that version, then Debian's, then those that install-versions filled. Docker
// is not tried: who asks for a version compares two, of one making. The error
// says what to type.
func BinDirOf(major int) (string, error) {
	candidates := append([]string{os.Getenv(BinVariable)}, installed()...)
	for _, dir := range append(candidates, cached(major, cacheFolders())...) {
		if complete(dir) == nil && versionOf(dir) == major {
			return dir, nil
		}
	}
	return "", fmt.Errorf("PostgreSQL %d is not installed; type: testcontainers/install-versions %[1]d\n"+
		"(looked in %s, pg_config's folder, %s and %s)",
		major, BinVariable, debianPattern, strings.Join(cacheFolders(), ", "))
}

// versionOf is the major version of a folder's server in its own words; 0 if
// it has none to say.
func versionOf(dir string) int {
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	_, version, _ := strings.Cut(string(out), "(PostgreSQL) ")
	return leadingNumber(version)
}

// leadingNumber is 18 of 18.4, 18beta1 and 18devel.
func leadingNumber(version string) int {
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		version = version[:end]
	}
	n, _ := strconv.Atoi(version)
	return n
}

// cached lists a major version's servers in cache folders, as
// postgresql-<major>.<minor>/bin, newest first.
func cached(major int, folders []string) []string {
	var dirs []string
	for _, folder := range folders {
		found, _ := filepath.Glob(filepath.Join(folder, fmt.Sprintf("postgresql-%d.*", major), "bin"))
		dirs = append(dirs, found...)
	}
	slices.SortStableFunc(dirs, func(a, b string) int { return cmp.Compare(minor(b), minor(a)) })
	return dirs
}

func minor(binDir string) int {
	_, number, _ := strings.Cut(filepath.Base(filepath.Dir(binDir)), ".")
	return leadingNumber(number)
}

// cacheFolders are where install-versions puts servers: this user's cache, and
// root's, which everybody may read.
func cacheFolders() []string {
	const roots = "/var/cache/pgumbra"
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return []string{filepath.Join(dir, "pgumbra"), roots}
	}
	home, err := os.UserHomeDir()
	if err != nil || os.Getuid() == 0 {
		return []string{roots}
	}
	return []string{filepath.Join(home, ".cache", "pgumbra"), roots}
}
