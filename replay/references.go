package replay

import (
	"fmt"
	"strings"

	"github.com/pgumbra/pgumbra/internal/pg"
	"github.com/pgumbra/pgumbra/plans"
)

// A row that names an object by its number is not what it was in production once the
// swap has replaced that object: it names the old one, and nothing once that is dropped.
// The plan looks for such rows; one that clients write in mid-run is found by the proof,
// which no key passes by. There such a value counts as another one than production's.

// proved is a value of a shadow row as proofs see it.
func (f *applier) proved(c plans.Column, row string) string {
	value := alike(c, row+"."+pg.Ident(c.Shadow))
	if f.replaces == nil {
		return value
	}
	replaced := f.replaces(c.Type, value)
	if replaced == "" {
		return value
	}
	// By the output function: a cast to text may be the user's.
	return fmt.Sprintf("CASE WHEN %s THEN 'an object that the upgrade replaces' ELSE pg_catalog.textin(pg_catalog.%sout(%s)) END", replaced, typeName(c.Type), value)
}

// provedImage is the text of a shadow row as proofs see it.
func (f *applier) provedImage(row string) string {
	var values []string
	for _, c := range f.compared() {
		values = append(values, f.proved(c, row))
	}
	return "(ROW(" + strings.Join(values, ", ") + `)::text COLLATE "C")`
}
