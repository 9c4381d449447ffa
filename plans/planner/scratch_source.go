package planner

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/golang-migrate/migrate/v4/source"

	"github.com/pgumbra/pgumbra/plans/migrations"
)

// memorySource is golang-migrate's view of the instrumented files.
type memorySource struct {
	*source.Migrations
	texts map[int64]string
}

func newMemorySource(m *migrations.Folder, texts map[int64]string) *memorySource {
	s := &memorySource{Migrations: source.NewMigrations(), texts: texts}
	for _, f := range m.Files {
		s.Append(&source.Migration{Version: uint(f.Version), Identifier: f.Name, Direction: source.Up, Raw: f.Name})
	}
	for _, v := range m.DownOnly {
		s.Append(&source.Migration{Version: uint(v), Direction: source.Down})
	}
	return s
}

func (s *memorySource) Open(string) (source.Driver, error) { return s, nil }
func (s *memorySource) Close() error                       { return nil }

func (s *memorySource) First() (uint, error) {
	v, ok := s.Migrations.First()
	return found(v, ok, "first")
}

func (s *memorySource) Prev(version uint) (uint, error) {
	v, ok := s.Migrations.Prev(version)
	return found(v, ok, "prev")
}

func (s *memorySource) Next(version uint) (uint, error) {
	v, ok := s.Migrations.Next(version)
	return found(v, ok, "next")
}

func found(v uint, ok bool, op string) (uint, error) {
	if !ok {
		return 0, &os.PathError{Op: op, Path: "migrations", Err: os.ErrNotExist}
	}
	return v, nil
}

func (s *memorySource) ReadUp(version uint) (io.ReadCloser, string, error) {
	text, ok := s.texts[int64(version)]
	if !ok {
		return nil, "", &os.PathError{Op: "read up", Path: fmt.Sprint(version), Err: os.ErrNotExist}
	}
	return io.NopCloser(strings.NewReader(text)), fmt.Sprint(version), nil
}

// ReadDown only tells whether a version exists: an upgrade only goes up.
func (s *memorySource) ReadDown(version uint) (io.ReadCloser, string, error) {
	if _, ok := s.Down(version); ok {
		return io.NopCloser(strings.NewReader("")), fmt.Sprint(version), nil
	}
	return nil, "", &os.PathError{Op: "read down", Path: fmt.Sprint(version), Err: os.ErrNotExist}
}
