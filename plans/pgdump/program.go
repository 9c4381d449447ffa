package pgdump

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// Program is a pg_dump that is installed here.
type Program struct {
	Path  string
	Major int // its version
}

// String names it for people.
func (p Program) String() string { return fmt.Sprintf("%s is of version %d", p.Path, p.Major) }

// Folders are where packages put each major version's programs.
var Folders = []string{"/usr/lib/postgresql/%d/bin", "/usr/pgsql-%d/bin"}

// Versions that are looked for in [Folders].
const (
	newestProgram = 30
	oldestProgram = 14
)

// Installed lists the pg_dumps of this machine: the one on PATH, then those in
// versioned folders, newest first. What does not say its version is left out.
func Installed(ctx context.Context) []Program {
	var all []Program
	add := func(path string) {
		if major := majorOf(ctx, path); major > 0 {
			all = append(all, Program{Path: path, Major: major})
		}
	}
	if path, err := exec.LookPath("pg_dump"); err == nil {
		add(path)
	}
	for v := newestProgram; v >= oldestProgram; v-- {
		for _, folder := range Folders {
			if path := filepath.Join(fmt.Sprintf(folder, v), "pg_dump"); executable(path) {
				add(path)
			}
		}
	}
	return all
}

func executable(path string) bool {
	info, err := os.Stat(filepath.Clean(path))
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

var version = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func majorOf(ctx context.Context, path string) int {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return 0
	}
	found := version.FindSubmatch(out)
	if found == nil {
		return 0
	}
	major, _ := strconv.Atoi(string(found[1])) // digits by the pattern
	return major
}
