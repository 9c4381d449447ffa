package cutover

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pgumbra/pgumbra/plans"
)

// No session stands behind a prepared transaction, so that nobody is blamed for
// it unless it is looked for; young ones may be a transaction manager's at work.
func TestPreparedTransactionIsNamedWithWhatEndsIt(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	quoted := get[string](f, "SELECT quote_literal('it''s ' || current_database())")
	f.exec("BEGIN; UPDATE shop.account SET ticket = ticket; PREPARE TRANSACTION " + quoted)
	t.Cleanup(func() { f.exec("ROLLBACK PREPARED " + quoted) })

	out := f.refuses("prepared-transaction", quoted)
	if fix := out.Blockers[0].Fix; !strings.Contains(fix, "COMMIT PREPARED "+quoted) || !strings.Contains(fix, "ROLLBACK PREPARED "+quoted) {
		t.Errorf("%s is to be ended by %s", quoted, fix)
	}
	f.settle(time.Hour, time.Millisecond)
	young := f.named("prepared-transaction")
	f.settle(time.Millisecond, time.Millisecond)
	old := f.named("prepared-transaction")
	if young == nil || old == nil || young.Lasting || !old.Lasting {
		t.Errorf("young %+v, old %+v", young, old)
	}
}

// named is the blocker of a code that stands against a swap now.
func (f *fixture) named(code string) *Blocker {
	f.t.Helper()
	found, err := f.Check(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, b := range found {
		if b.Code == code {
			return &b
		}
	}
	return nil
}
