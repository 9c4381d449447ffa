package cutover

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/golang-migrate/migrate/v4/source"

	"github.com/pgumbra/pgumbra/plans"
)

// planSource is golang-migrate's view of the files that the plan keeps.
type planSource struct{ *source.Migrations }

func newPlanSource(b *plans.Behind) *planSource {
	s := &planSource{source.NewMigrations()}
	if b.Built != nil { // golang-migrate wants to find where it stands
		s.Append(&source.Migration{Version: uint(*b.Built), Direction: source.Down})
	}
	for _, f := range b.Files {
		s.Append(&source.Migration{Version: uint(f.Version), Identifier: f.Name, Direction: source.Up, Raw: f.Name})
	}
	return s
}

func (s *planSource) Open(string) (source.Driver, error) { return s, nil }
func (s *planSource) Close() error                       { return nil }

func (s *planSource) First() (uint, error) {
	v, ok := s.Migrations.First()
	return foundVersion(v, ok, "first")
}

func (s *planSource) Prev(version uint) (uint, error) {
	v, ok := s.Migrations.Prev(version)
	return foundVersion(v, ok, "prev")
}

func (s *planSource) Next(version uint) (uint, error) {
	v, ok := s.Migrations.Next(version)
	return foundVersion(v, ok, "next")
}

func foundVersion(v uint, ok bool, op string) (uint, error) {
	if !ok {
		return 0, &os.PathError{Op: op, Path: "migrations", Err: os.ErrNotExist}
	}
	return v, nil
}

// ReadUp hands golang-migrate a file whose text the driver has already.
func (s *planSource) ReadUp(version uint) (io.ReadCloser, string, error) {
	if m, ok := s.Up(version); ok {
		return io.NopCloser(strings.NewReader(m.Identifier)), m.Identifier, nil
	}
	return nil, "", &os.PathError{Op: "read up", Path: fmt.Sprint(version), Err: os.ErrNotExist}
}

// ReadDown only tells whether a version exists: an upgrade only goes up.
func (s *planSource) ReadDown(version uint) (io.ReadCloser, string, error) {
	if _, ok := s.Down(version); ok {
		return io.NopCloser(strings.NewReader("")), fmt.Sprint(version), nil
	}
	return nil, "", &os.PathError{Op: "read down", Path: fmt.Sprint(version), Err: os.ErrNotExist}
}
