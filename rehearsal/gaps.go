package rehearsal

import (
	"os"

	"github.com/pgumbra/pgumbra/plans/syntax"
	"github.com/pgumbra/pgumbra/plans/transforms"
	"github.com/pgumbra/pgumbra/rehearsal/generate"
)

// placeGaps says which statement of the migrations asks for what could not be made: the
// last one that names the constraint, or a CHECK of its table and columns.
func (r *rehearsal) placeGaps(gaps []generate.Gap) {
	if len(gaps) == 0 {
		return
	}
	statements := r.statements()
	for i := range gaps {
		g := &gaps[i]
		if g.Constraint != "" {
			g.Where = transforms.Naming(statements, g.Constraint)
		}
		for _, also := range [][]string{{"check"}, nil} {
			if g.Where == "" && len(g.Columns) > 0 {
				g.Where = transforms.Naming(statements, append(append([]string{g.Table.Name}, g.Columns...), also...)...)
			}
		}
	}
}

// statements are those of the migrations up to the rehearsal's last one. A file that
// cannot be read is told by whoever runs it.
func (r *rehearsal) statements() (all []syntax.Place) {
	for _, f := range r.folder.Files {
		text, err := os.ReadFile(f.Path)
		if err != nil || f.Version > r.window.to {
			continue
		}
		read, err := syntax.Instrument(f.Name, string(text), 1)
		if err != nil {
			continue
		}
		for _, s := range read.Statements {
			all = append(all, syntax.Place{File: f.Name, SQL: s.SQL, Line: s.Line})
		}
	}
	return all
}
