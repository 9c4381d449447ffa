package cutover

import (
	"context"
	"fmt"
	"time"

	"github.com/pgumbra/pgumbra/internal/pg"
)

// setAlarm makes the server end locker's session if it is still in its
// present transaction after d, whatever becomes of this process: a stopped one,
// or a network that swallows us, holds nobody up beyond that. The statement is
// sent on a session of its own and not waited for. One that was set before is
// taken back. With track_activities off the server does not tell when a
// transaction began; then the session ends whatever it does: after its COMMIT it
// has nothing to do.
func (p *pair) setAlarm(ctx context.Context, d time.Duration) {
	if p.ringing != nil {
		_ = p.alarm.PgConn().CancelRequest(ctx)
		_ = p.ringing.Close()
	}
	locker := p.backends[0]
	script := fmt.Sprintf(`DECLARE since timestamptz := clock_timestamp();
BEGIN
	PERFORM pg_sleep(%f);
	PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %d AND backend_start = %s::timestamptz AND coalesce(xact_start < since, NOT current_setting('track_activities')::boolean);
END`, d.Seconds(), locker.PID, pg.Literal(locker.Started.UTC().Format(time.RFC3339Nano)))
	p.ringing = p.alarm.PgConn().Exec(context.WithoutCancel(ctx), "DO "+pg.Literal(script)) // its end is not read: see close
}
