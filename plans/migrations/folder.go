// Package migrations lists a folder of golang-migrate's files as golang-migrate
// itself does.
package migrations

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/golang-migrate/migrate/v4/source"

	"github.com/pgumbra/pgumbra/plans"
)

// Folder is a folder of golang-migrate's files.
type Folder struct {
	Dir   string
	Files []File // up files, by number
	// Warnings are about files that golang-migrate would not see, or not as
	// their names suggest.
	Warnings []plans.Finding

	DownOnly []int64
}

// File is one up file.
type File struct {
	Version int64
	Name    string // the file's name, as findings show it
	Path    string
}

// Read lists a folder as golang-migrate does, by its own parser.
// A folder that is absent or holds no up file, and two files of one number, are
// [*plans.FileError]s. Gaps between numbers are normal.
func Read(dir string) (*Folder, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, noFolder(dir, err)
	}
	m := &Folder{Dir: dir}
	seen := map[source.Direction]map[int64]string{source.Up: {}, source.Down: {}}
	for _, e := range entries {
		if err := m.add(e, seen); err != nil {
			return nil, err
		}
	}
	if len(m.Files) == 0 {
		return nil, &plans.FileError{File: dir, Message: "the migrations folder holds no up files of golang-migrate",
			Fix: "they are named like 000042_add_cents.up.sql; name the folder by migrations.path"}
	}
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Compare(a.Version, b.Version) })
	m.noteDownOnly(seen)
	return m, nil
}

func noFolder(dir string, err error) error {
	var p *os.PathError
	cause := err
	if errors.As(err, &p) {
		cause = p.Err
	}
	message := "read the migrations folder: " + cause.Error()
	if errors.Is(err, os.ErrNotExist) {
		message = "the migrations folder does not exist"
	}
	return &plans.FileError{File: dir, Message: message, Fix: "name it by migrations.path; a relative path starts at the plan file"}
}

func (m *Folder) add(e os.DirEntry, seen map[source.Direction]map[int64]string) error {
	if e.IsDir() {
		m.noteFolder(e.Name())
		return nil
	}
	parsed, err := source.DefaultParse(e.Name())
	if err != nil {
		m.noteUnseen(e.Name())
		return nil //nolint:nilerr // golang-migrate passes such a file over too
	}
	if uint64(parsed.Version) > math.MaxInt64 {
		return &plans.FileError{File: filepath.Join(m.Dir, e.Name()), Message: "the migration's number is beyond what a version table holds"}
	}
	version := int64(parsed.Version)
	if first, twice := seen[parsed.Direction][version]; twice {
		return &plans.FileError{File: filepath.Join(m.Dir, e.Name()),
			Message: fmt.Sprintf("number %d is that of %s too", version, first), Fix: "rename or remove one: golang-migrate runs neither"}
	}
	seen[parsed.Direction][version] = e.Name()
	if parsed.Direction == source.Up {
		m.Files = append(m.Files, File{Version: version, Name: e.Name(), Path: filepath.Join(m.Dir, e.Name())})
	}
	return nil
}

func (m *Folder) noteUnseen(name string) {
	if !strings.EqualFold(filepath.Ext(name), ".sql") {
		return
	}
	m.Warnings = append(m.Warnings, plans.Finding{Level: plans.Warning, Code: "migration-file-unseen", Object: name, Where: name,
		Message: "golang-migrate does not see this file: its name is not <number>_<title>.up.sql or .down.sql",
		Fix:     "rename it if it is a migration"})
}

func (m *Folder) noteFolder(name string) {
	inside, err := filepath.Glob(filepath.Join(m.Dir, name, "*.sql"))
	if err != nil || len(inside) == 0 {
		return
	}
	m.Warnings = append(m.Warnings, plans.Finding{Level: plans.Warning, Code: "migration-file-unseen", Object: name, Where: name,
		Message: fmt.Sprintf("golang-migrate does not look into folders: %d .sql files in %s are not seen", len(inside), name),
		Fix:     "move them up if they are migrations"})
}

// noteDownOnly: golang-migrate counts a number that has only a down file as a
// version, one that does nothing on the way up.
func (m *Folder) noteDownOnly(seen map[source.Direction]map[int64]string) {
	for version, name := range seen[source.Down] {
		if _, up := seen[source.Up][version]; up {
			continue
		}
		m.DownOnly = append(m.DownOnly, version)
		m.Warnings = append(m.Warnings, plans.Finding{Level: plans.Warning, Code: "migration-without-up", Object: name, Where: name,
			Message: fmt.Sprintf("version %d has a down file but no up file; it is passed over", version),
			Fix:     "add the up file if it is missing"})
	}
	slices.SortFunc(m.Warnings, func(a, b plans.Finding) int { return strings.Compare(a.Object, b.Object) })
}

// Newest is the highest version that has an up file.
func (m *Folder) Newest() int64 { return m.Files[len(m.Files)-1].Version }

// Has reports whether golang-migrate knows a version: production may stand
// there, even where only its down file is left.
func (m *Folder) Has(version int64) bool {
	return slices.ContainsFunc(m.Files, func(f File) bool { return f.Version == version }) ||
		slices.Contains(m.DownOnly, version)
}

// Between are the files to run on the way from a version, not included, to
// another, included. From nil: from nothing.
func (m *Folder) Between(from *int64, to int64) []File {
	var run []File
	for _, f := range m.Files {
		if (from == nil || f.Version > *from) && f.Version <= to {
			run = append(run, f)
		}
	}
	return run
}
