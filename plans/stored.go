package plans

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Format is the form of the plans that this pgumbra stores. It is raised when a
// plan's fields change their meaning, so that the ones of before could not read it
// rightly; a field that is added does not raise it. 0, or none, are plans from
// before there was a number: their form is 1, too. In form 2 a copied table may
// have Watches: who does not know them would leave rows as they were. In form 3 a source
// may have Back, and what runs behind the fence Tables: who does not know them would
// take one table of a way back for another. In form 4 single statements may run in the
// swap (Behind.Deferred): who does not know them would leave them out.
const Format = 4

// ErrNewer says that the plan is of a form that this pgumbra does not know. Whoever reads it
// must do nothing by it: only the newer pgumbra that made the plan may go on.
var ErrNewer = errors.New("the plan was made by a newer pgumbra, whose form of it this one does not know: use that one")

// Decode reads a plan as a run stored it. Errors: [ErrNewer].
func Decode(text []byte) (*Plan, error) {
	p := new(Plan)
	if err := json.Unmarshal(text, p); err != nil {
		return nil, err
	}
	if p.Format > Format {
		return nil, fmt.Errorf("%w (form %d, known up to %d)", ErrNewer, p.Format, Format)
	}
	return p, nil
}
