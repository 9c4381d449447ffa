package planner

import (
	"errors"
	"fmt"

	"github.com/jackc/pgerrcode"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// blockedByEncoding turns an error about a sign that production's encoding
// lacks, or about bytes that are no UTF-8 in a database without an encoding, into a
// blocker. Rows may hold such bytes, since copying and replaying read none of
// them; names and definitions may not: the plan holds them as text.
func (m *survey) blockedByEncoding(err error) error {
	if state := pg.State(err); state != pgerrcode.CharacterNotInRepertoire && state != pgerrcode.UntranslatableCharacter || errors.Is(err, errBlocked) {
		return err
	}
	fix := "use signs in the plan file and the migrations that " + m.session.Encoding + " has"
	if m.session.Encoding == sqlASCII {
		fix = "a database in SQL_ASCII may hold any bytes in its rows, but names, defaults, comments and function bodies must be UTF-8: rename or rewrite those that are not"
	}
	m.blocker("encoding", m.session.Database, fmt.Sprintf("a text cannot be read or written in production's encoding, %s: %s", m.session.Encoding, err), fix)
	return errBlocked
}
