package upgrade

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgumbra/pgumbra/cutover"
	"github.com/pgumbra/pgumbra/plans/planfile"
)

const looksForHolders = 2 * time.Second

// TellWaits says in the log for whose locks in production pgumbra waits, each time that it
// is somebody else, until ctx ends: a VACUUM FULL or a forgotten ALTER TABLE holds up
// what only reads, too. What it cannot see it leaves out.
func TellWaits(ctx context.Context, file *planfile.File, log *slog.Logger) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			closeLook(ctx, conn)
		}
	}()
	var told []int32
	tick := time.NewTicker(looksForHolders)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if conn == nil {
			var err error
			if conn, err = openLook(ctx, file); err != nil {
				conn = nil
				continue
			}
		}
		holders, err := cutover.Waits(ctx, conn)
		if err != nil {
			closeLook(ctx, conn)
			conn = nil
			continue
		}
		var now []int32
		for _, h := range holders {
			if now = append(now, h.PID); !slices.Contains(told, h.PID) {
				log.Warn("waiting for a lock in production", "holder", h.Text)
			}
		}
		told = now
	}
}
