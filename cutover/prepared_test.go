package cutover

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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

// A transaction manager's transactions are prepared for milliseconds: the look
// before an attempt waits for those that it finds.
func TestYoungPreparedTransactionIsWaitedFor(t *testing.T) {
	t.Parallel()
	f := shop(t, plans.Rename, "")
	quoted := get[string](f, "SELECT quote_literal('young ' || current_database())")
	f.settle(10*time.Second, time.Second)
	f.exec("BEGIN; UPDATE shop.account SET ticket = ticket; PREPARE TRANSACTION " + quoted)
	committed := make(chan error, 1)
	time.AfterFunc(200*time.Millisecond, func() {
		conn, err := pgx.Connect(t.Context(), f.dsn)
		if err == nil {
			_, err = conn.Exec(t.Context(), "COMMIT PREPARED "+quoted)
		}
		committed <- err
	})
	if b := f.named("prepared-transaction"); b != nil {
		t.Errorf("%+v", b)
	}
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
}
