package upgrade

import (
	"strings"

	"github.com/pgumbra/pgumbra/cutover"
)

// KeysViolated says that rows of production break foreign keys which the
// migrations bring. In place they would fail too. The run stays where it is; no
// attempt succeeds before somebody corrects the rows.
type KeysViolated struct{ Found []string }

func (k *KeysViolated) Error() string {
	return "a foreign key that the migrations bring fails on production's rows (SQLSTATE 23503): " + strings.Join(k.Found, "; ")
}

// violatedKeys are those among blockers; nil: there are none.
func violatedKeys(blockers []cutover.Blocker) error {
	var found []string
	for _, b := range blockers {
		if b.Code == cutover.CodeKeyViolated {
			found = append(found, b.Message)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return &KeysViolated{found}
}
